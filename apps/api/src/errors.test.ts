import { SigningError, type SigningErrorCode } from '@scrivener/signing';
import { describe, expect, test } from 'vitest';
import { answerTo } from './errors.ts';

describe('what a signer cannot do is told to the client', () => {
  test.each<[SigningErrorCode, number, string]>([
    ['UNKNOWN_KEY', 500, 'UNKNOWN'],
    ['REFUSED', 500, 'UNKNOWN'],
    ['TOO_LARGE', 400, 'INVALID_UPDATE'],
    ['UNAVAILABLE', 503, 'UNAVAILABLE'],
  ])('%s as %i %s', (code, status, told) => {
    const answer = answerTo(new SigningError(code, 'because'));

    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ code: told }] });
  });

  test('with the reason where it is the size of the update', () => {
    const answer = answerTo(new SigningError('TOO_LARGE', 'the signer takes no more'));

    expect(JSON.parse(answer.body)).toMatchObject({
      errors: [{ detail: { Name: 'ErrValidation', Error: { Msg: 'the signer takes no more' } } }],
    });
  });
});
