// Preloaded (NODE_OPTIONS=--require): the clock on the wall is off by so many hours as the file $WALL_HOURS says now. The
// clock that timers go by is left alone.
const fs = require('node:fs')

const { now } = Date
const RealDate = Date
let hours = 0
const look = () => {
  hours = Number(fs.readFileSync(process.env.WALL_HOURS, 'utf8'))
}
look()
setInterval(look, 100).unref()
const moved = () => now() + hours * 3_600_000
globalThis.Date = class extends RealDate {
  constructor(...words) {
    if (words.length === 0) super(moved())
    else super(...words)
  }
  static now() {
    return moved()
  }
}
