// Preloaded (NODE_OPTIONS=--require): a worker whose number is in a file's name in $AFFLICTIONS hangs in a loop that never
// ends (hang-1, taken away first), or ends (exit-1, which stays).
const fs = require('node:fs')

const folder = process.env.AFFLICTIONS
const [, program = '', number] = process.argv
if (program.includes('worker-main')) {
  const look = () => {
    if (fs.existsSync(`${folder}/exit-${number}`)) process.exit(7)
    if (!fs.existsSync(`${folder}/hang-${number}`)) return
    fs.rmSync(`${folder}/hang-${number}`)
    for (;;);
  }
  look()
  setInterval(look, 20).unref()
}
