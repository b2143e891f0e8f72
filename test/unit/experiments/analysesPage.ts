import type { StepKind } from '../../../src/core/experiments/stepKind.ts';

type Schema = Readonly<Record<string, unknown>>;

const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function formOf(schema: Schema): string {
  const forms = [schema.oneOf, schema.anyOf].find(Array.isArray) as readonly Schema[] | undefined;
  if (forms) return forms.map(formOf).join(' or ');
  if (Array.isArray(schema.enum)) return schema.enum.map(code).join(', ');
  if (schema.const !== undefined) return code(schema.const);
  if (schema.type === 'array') return `list of ${formOf((schema.items as Schema | undefined) ?? {})}`;
  if (typeof schema.properties === 'object' && schema.properties !== null) {
    const fields = Object.entries(schema.properties).map(([name, own]) => `${name}: ${formOf(own as Schema)}`);
    return `{ ${fields.join('; ')} }`;
  }
  const names: Readonly<Record<string, string>> = {
    ...{ string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', object: 'map' },
  };
  return (Array.isArray(schema.type) ? schema.type : [schema.type])
    .map((type) => names[String(type)] ?? '')
    .join(' or ');
}

function section({ name, params }: StepKind): string {
  const rows = Object.entries(params.properties).map(([key, schema]) => {
    const needed = params.required?.includes(key) ? 'needed' : schema.default === undefined ? '' : code(schema.default);
    const form = key === 'metric' ? 'metric' : formOf(schema);
    return `| \`${key}\` | ${cell(form)} | ${cell(needed)} | ${cell(String(schema.description))} |`;
  });
  return [
    `## ${name}`,
    '',
    params.description,
    '',
    '| parameter | form | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** `docs/analyses.md`: every analysis that a step of an experiment can run, with its parameters. */
export function analysesPage(kinds: readonly StepKind[]): string {
  const rows = kinds.map(({ name, params }) => `| [${name}](#${name}) | ${cell(params.description)} |`);
  return [
    '# Analyses',
    '',
    'What a step of an experiment file can run: `- run: NAME`, with its parameters under `with:`. This page is written from the registry (`src/core/experiments/stepKinds.ts`) by `npx vitest run test/unit/experiments/schema.test.ts -u`. How an experiment file is written: [README](../README.md#an-experiment-file).',
    '',
    '| analysis | what it does |',
    '| --- | --- |',
    ...rows,
    '',
    ...kinds.map(section),
  ].join('\n');
}
