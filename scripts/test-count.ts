interface TestFile {
  readonly status: string;
  readonly assertionResults: readonly { readonly status: string }[];
}

/**
 * Counts the tests in a report of vitest's JSON reporter. A file that failed without a failed test
 * (it did not load, or a hook failed) counts as one failure, as does a run that failed for any other
 * reason, an unhandled rejection say, or that left no report.
 */
export function countTests(report: string, succeeded: boolean): { passed: number; failed: number } {
  const files = testFiles(report);
  const passed = sum(files.map((file) => testsWith(file, 'passed')));
  const failed = sum(
    files.map((file) => testsWith(file, 'failed') || (file.status === 'failed' ? 1 : 0)),
  );
  return { passed, failed: failed === 0 && !succeeded ? 1 : failed };
}

function testFiles(report: string): readonly TestFile[] {
  if (report === '') return [];
  return (JSON.parse(report) as { testResults: TestFile[] }).testResults;
}

function testsWith(file: TestFile, status: string): number {
  return file.assertionResults.filter((test) => test.status === status).length;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
