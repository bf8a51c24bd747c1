export { headerBytesMax, type HeaderAnswer, type IntroductionHeader, parseIntroduction } from './header.ts'
export { type IntroducedParts, startIntroduced } from './introduced.ts'
