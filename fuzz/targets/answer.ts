import { createJobKey, parseJobKeys } from '@scrivener/signing';
import { openAnswer, sealAnswer } from '../../libs/signing/src/job-seal.ts';
import {
  batchResult,
  createKeyResult,
  refusalOfJob,
  signResult,
} from '../../libs/signing/src/jobs.ts';
import { bytesOf, textOf, type Target } from '../target.ts';

const ID = 'sign-1';

/** What an API finds as the answer to its job: none but a worker's opens, and it is of a known shape. */
export const answer: Target = {
  name: 'answer',
  words: [
    '{"ok":true',
    '{"ok":false',
    '"code":"REFUSED"',
    '"code":"UNKNOWN_KEY"',
    '"message":"',
    '"job":"forged"',
    '"timestamp":[',
    '"answers":[',
    '{"keyid":"',
    '"method":"eddsa"',
    '"sig":"QQ=="',
    '"body":"',
    '"mac":"',
    '}',
    ']',
    ',',
  ],
  runs: 3_000,
  open: () => {
    const keys = parseJobKeys(createJobKey());
    const sealed = JSON.stringify(sealAnswer(keys, ID, { ok: true }));
    return {
      seeds: [bytesOf(sealed)],
      run: (input) => {
        let data: unknown;
        try {
          data = JSON.parse(textOf(input)) as unknown;
        } catch {
          return 'refusal';
        }
        const opened = openAnswer(keys, ID, data);
        if (opened !== undefined && JSON.stringify(opened.answer) !== '{"ok":true}') {
          throw new Error('a forged answer opens');
        }
        refusalOfJob(data);
        const isAnswer = [signResult, createKeyResult, batchResult].some(
          (shape) => shape.safeParse(data).success,
        );
        return opened !== undefined || isAnswer ? 'value' : 'refusal';
      },
    };
  },
};
