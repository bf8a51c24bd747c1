import { declareCounters } from '../../base/index.ts'

export const CountStack = declareCounters({
  programs: { doc: 'programs started for the payload of a session' },
  refused: { doc: 'sessions a program refused' },
  failed: {
    doc: 'programs that could not be started, said nothing in time, broke the control channel or ended with an error',
    whenItGrows: 'look for the stack in cache_log',
  },
  killed: { doc: 'programs that had to be killed', whenItGrows: 'the program does not end when its input does' },
  full: { doc: 'programs not started since as many were running as may', whenItGrows: 'programs take longer than sessions come' },
})
