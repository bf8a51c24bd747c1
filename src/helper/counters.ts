import { declareCounters } from '../base/index.ts'

export const CountHelper = declareCounters({
  questions: { doc: 'lines that helper programs were asked' },
  answers: { doc: 'answers that came in time' },
  started: { doc: 'children started' },
  died: { doc: 'children that ended without being told to', whenItGrows: 'what a child says before it ends stands in cache_log' },
  unstartable: { doc: 'children that could not be started', whenItGrows: 'the path and the rights of the program; descriptors' },
  late: { doc: 'questions not answered in time', whenItGrows: 'the program hangs, or there are too few children' },
  busy: { doc: 'questions refused since the queue was full', whenItGrows: 'more children, or concurrency=' },
  down: { doc: 'questions refused since no child could be kept alive', whenItGrows: 'the program fails as soon as it starts' },
  nonsense: { doc: 'lines that answered no question', whenItGrows: 'does the program know concurrency= ?' },
})
