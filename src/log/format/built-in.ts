/** Squid's own formats; `squid` is written by hand (squid-line.ts) and held equal to this text by a test. */
export const builtInFormats: Readonly<Record<string, string>> = {
  squid: '%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt',
  common: '%>a - %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st %Ss:%Sh',
  combined: '%>a - %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st "%{Referer}>h" "%{User-Agent}>h" %Ss:%Sh',
  referrer: '%ts.%03tu %>a %{Referer}>h %ru',
  icap_squid: '%ts.%03tu %6icap::tr %>A %icap::to/%03icap::Hs %icap::<st %icap::rm %icap::ru %un -/%icap::<A -',
  useragent: '%>a [%tl] "%{User-Agent}>h"',
}
