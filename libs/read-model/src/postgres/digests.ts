export const bytea = (digits: string) => Buffer.from(digits, 'hex');
