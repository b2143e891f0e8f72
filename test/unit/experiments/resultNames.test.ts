import { describe, expect, test } from 'vitest';
import { experimentNames, resultsFolder, stepOfResult, stepResultName } from '../../../src/shared/experimentRun.ts';

describe('from a result back to its experiment', () => {
  test.each(['a.experiment.yaml', 'b c.experiment.yml'])('%s is among the names that its folder leads to', (name) => {
    expect(experimentNames(resultsFolder(name))).toContain(name);
  });

  test('other folders and files lead nowhere', () => {
    expect(experimentNames('results')).toEqual([]);
    expect(experimentNames('.results')).toEqual([]);
    expect(stepOfResult(stepResultName('step-2.x'))).toBe('step-2.x');
    expect(stepOfResult('.mechanist.json')).toBeNull();
    expect(stepOfResult('a.json')).toBeNull();
  });
});
