export { makeCertificates, type TestCertificates } from './certificates.ts';
