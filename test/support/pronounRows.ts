const she = ['nurse', 'secretary', 'librarian', 'maid', 'dancer', 'nanny', 'florist', 'receptionist'];
const he = ['farmer', 'carpenter', 'soldier', 'plumber', 'mechanic', 'pilot', 'miner', 'guard'];

/** A dataset for the bundled model: after a job, the pronoun it knows; corrupted by the job of another row. */
export function pronounRows(): string {
  const rows = [...she.map((job) => [job, ' she', ' he']), ...he.map((job) => [job, ' he', ' she'])];
  const header = { dataset: { name: 'pronouns', seed: 0, corruptions: { other: [{ permute: ['JOB'] }] } } };
  const lines = rows.map(([job, token, foil], i) => ({
    id: `r${i}`,
    clean: `The ${job} said that`,
    roles: { JOB: 1, VERB: 2 },
    answers: [{ name: 'pronoun', pos: -1, token, foils: [foil] }],
  }));
  return `${[header, ...lines].map((line) => JSON.stringify(line)).join('\n')}\n`;
}
