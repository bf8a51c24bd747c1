/**
 * The first 32-bit words of pi's fraction, which Blowfish begins with. Made instead of written down: Machin's formula,
 * pi = 16 arctan(1/5) - 4 arctan(1/239), takes a few milliseconds once.
 */
export const piWords = (count: number): Uint32Array => {
  const guard = 64n
  const bits = BigInt(count) * 32n + guard
  const one = 1n << bits
  const arctan = (inverse: bigint): bigint => {
    const square = inverse * inverse
    let power = one / inverse
    let sum = power
    for (let n = 3n, plus = false; power > 0n; n += 2n, plus = !plus) {
      power /= square
      sum += plus ? power / n : -(power / n)
    }
    return sum
  }
  let fraction = (16n * arctan(5n) - 4n * arctan(239n) - 3n * one) >> guard
  const words = new Uint32Array(count)
  for (let i = count - 1; i >= 0; i--) {
    words[i] = Number(fraction & 0xffffffffn)
    fraction >>= 32n
  }
  return words
}
