import type { AnalysisEngine } from '../../src/core/analyses/analysisEngine.ts';
import type { TaskItem, TaskSet } from '../../src/shared/taskSet.ts';
import { taskSetOf } from './steps.ts';

export const FEMALE =
  'Mary Anna Lisa Emma Sarah Laura Julia Alice Kate Jane Susan Linda Karen Nancy Helen Ruth Rose Clara Maria Lucy'.split(
    ' ',
  );
export const MALE =
  'John Peter Paul Mark David James Robert Michael William Thomas George Henry Jack Tom Daniel Simon Adam Ben Frank Carl'.split(
    ' ',
  );
const JOBS = [
  ...['nurse secretary librarian maid dancer nanny receptionist hairdresser florist housekeeper'],
  ...['farmer carpenter soldier plumber mechanic pilot builder miner blacksmith guard'],
].map((jobs) => jobs.split(' '));

const TEMPLATES = ['{} is late because', '{} said that', 'When {} came to the school,'];

interface Fill {
  readonly templates?: readonly string[];
  readonly female: readonly string[];
  readonly male: readonly string[];
}

/** Pairs of prompts of small-world: the clean one expects `she`, its partner `he`. Roles `name` and `end`. */
function pairTask(
  engine: AnalysisEngine,
  { templates = TEMPLATES, female, male }: Fill,
  more: readonly TaskItem[] = [],
): TaskSet {
  const { tokenizer } = engine.model;
  const [answer, foil] = [' she', ' he'].map((text) => tokenizer.encodePiece(text)[0]);
  const items = female.flatMap((own, n): TaskItem[] => {
    return templates.map((template, t) => {
      const [clean, other] = [own, male[n]].map((name) => tokenizer.encode(template.replace('{}', name)));
      const ids = clean.map(({ id }) => id);
      const corrupted = other.map(({ id }) => id);
      const name = ids.findIndex((id, i) => id !== corrupted[i]);
      return {
        ...{ id: `${n}.${t}`, text: template.replace('{}', own), ids, tokens: clean.map(({ text }) => text) },
        roles: { name: [name], end: [ids.length - 1] },
        answers: [{ name: 'answer', position: ids.length - 1, answer, foils: [foil] }],
        ...{ tags: [`template ${t + 1}`], corrupted: { partner: corrupted } },
      };
    });
  });
  return taskSetOf([...items, ...more], ['name', 'end'], 'pairs');
}

export function namePairs(engine: AnalysisEngine, rows = 20): TaskSet {
  return pairTask(engine, { female: FEMALE.slice(0, rows), male: MALE.slice(0, rows) });
}

export function jobPairs(engine: AnalysisEngine): TaskSet {
  const templates = ['The {} is late because', 'The {} said that', 'When the {} came to the school,'];
  return pairTask(engine, { templates, female: JOBS[0], male: JOBS[1] });
}
