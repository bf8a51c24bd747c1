import { ioctl, type Addon } from '../native/index.ts'
import type { Listener } from './engine/engine.ts'
import { createNatLookup } from './nat-lookup/index.ts'
import type { NatBackend } from './nat-lookup/original-destination.ts'

/**
 * Asks the kernel once, with the listening socket itself, whether the look-up works here: an interception port whose
 * every connection would be refused is worth a line at the start. Answers '' when it works, else the sentence.
 */
export const natDoubt = (addon: Addon, backend: NatBackend, listener: Listener): string => {
  const lookup = createNatLookup({
    backend,
    isOwnEndpoint: () => false,
    kernel: {
      ioctl: (fd, request, argument, pointers) => ioctl(addon, fd, request, argument, pointers),
      getsockopt: (fd, level, name, value) => addon.getOption(fd, level, name, value),
    },
  })
  try {
    const proof = lookup.selfTest(listener)
    return proof.ok ? '' : proof.verdict
  } finally {
    lookup.close()
  }
}
