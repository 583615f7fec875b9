export { makeCertificates, makeChain, type TestCertificates } from './certificates.ts';
export { connectRaw, type RawClient } from './raw-client.ts';
