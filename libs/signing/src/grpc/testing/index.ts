export { makeCertificates, makeChain, type TestCertificates } from './certificates.ts';
