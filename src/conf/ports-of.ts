import type { Config, PortConfig } from './config.ts'

/** Every line that listens to web clients: http_port, then https_port. */
export const portsOf = (config: Pick<Config, 'http_port' | 'https_port'>): readonly PortConfig[] => [...config.http_port, ...config.https_port]
