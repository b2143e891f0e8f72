import { describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/core/experiments/stepKinds.ts';
import { appendStep } from '../../../src/core/tasks/experiment/editStep.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { type MapParams, mapLines, mapUnder } from '../../../src/core/tasks/experiment/headsMapStep.ts';

const source = `model: small-world
data: pairs.jsonl # made from pairs
observables:
  gender: { " she": 1, " he": -1 }
steps:
  - run: heads-map
    with: { observable: gender, corruption: "cur:A", top: 5 }
  - name: written
    run: heads-map
    with: { observable: { " nurse": 1, " farmer": -2 }, under: MLP 3 }
`;
const parse = (text: string) => new ExperimentParser(stepKinds).parse(text);
const under = 'L3.H3@name <= L1.H0@name';

describe('a map of heads one node further down', () => {
  test('is a step that the parser takes, with the parameters of the map above', () => {
    for (const i of [0, 1]) {
      const params = parse(source).steps[i].params as unknown as MapParams;
      expect(mapUnder(parse(source), params, under)).toBeUndefined();
      const edit = appendStep(source, mapLines('heads-under', params, under));
      const after = source.slice(0, edit?.start) + edit?.newText + source.slice(edit?.end ?? 0);
      const file = parse(after);
      expect(file.problems).toEqual([]);
      expect(file.steps[2]).toMatchObject({ name: 'heads-under', run: 'heads-map', params: { ...params, under } });
      expect(mapUnder(file, params, under)).toBe('heads-under');
      expect(mapUnder(file, params, 'L3.H3')).toBeUndefined();
      expect(after.startsWith(source.trimEnd())).toBe(true);
    }
  });

  test('is found again for the same observable only', () => {
    const [first, second] = parse(source).steps.map(({ params }) => params as unknown as MapParams);
    expect(mapUnder(parse(source), second, 'MLP 3')).toBe('written');
    expect(mapUnder(parse(source), first, 'MLP 3')).toBeUndefined();
  });
});
