// manager: the pages and actions that rooms show to the operator.
//
// holds          the registry of pages; who may see which (cachemgr_passwd); the menu; sums of the traffic, of the
//                last hour and days too, and the pages made of them
// does not hold  how pages travel (admin), what other rooms know: each makes its own page and registers it
// called by      admin, which serves the pages; cli, which registers those of all rooms
// calls          base
//
// A page is a snapshot and two ways to write it down:
//
//   answer(args) ─► a plain value ─┬─► text(value)   as Squid's cache manager writes it: an interface to other programs
//                                  └─► JSON

export { averagesPage, utilizationPage } from './averages-pages.ts'
export { clientListPage, ClientTable } from './clients.ts'
export { counted, type Counted, countersPage, roomCountersPage, type CounterGroup } from './counters-pages.ts'
export { binSeconds, durationBins, kindNames, ServiceTimes, type TimeKind, timeKinds, type TimesValue } from './durations.ts'
export { type DiskSums, History } from './history.ts'
export { type Figures, figuresPage, type Health, healthPage } from './figures-page.ts'
export { type InfoSource, infoPage } from './info-page.ts'
export { menuPage } from './menu.ts'
export {
  type Arguments, type Legacy, type OtherWorkers, type Page, type PageAnswer, type PageRefusal, refusedPage, type WorkerAnswer,
} from './page.ts'
export { mayRead, type ManagerPassword, protectionOf, type Protection, samePassword } from './passwords.ts'
export { Manager, type RegisteredPage, type Rendered } from './registry.ts'
export { addNumbers } from './together.ts'
export { histogramsPage, serviceTimesPage } from './times-pages.ts'
export { Traffic, type TrafficSums } from './traffic.ts'
