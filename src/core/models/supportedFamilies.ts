import { MechanistError } from '../../shared/errors.ts';
import type { ModelFamily } from './modelConfig.ts';

/** Families whose results are checked against HF transformers. Everything else is refused, by name. */
export const supportedFamilies: readonly ModelFamily[] = ['gpt2', 'llama'];

/** Families that configs and weight names are read for, but whose parity with HF transformers is not proved yet. */
const plannedFamilies: readonly ModelFamily[] = ['gpt_neo', 'gpt_neox', 'qwen2', 'mistral'];

/** The family called `name` in a config or in GGUF metadata; null when Mechanist has never heard of it. */
export function familyNamed(name: string): ModelFamily | null {
  const spelled = name === 'gptneox' ? 'gpt_neox' : name === 'gptneo' ? 'gpt_neo' : name;
  return [...supportedFamilies, ...plannedFamilies].find((family) => family === spelled) ?? null;
}

/** @throws model-unsupported, naming the family and what is supported */
export function refuseFamily(file: string, family: string): never {
  const planned = plannedFamilies.some((name) => name === familyNamed(family)) ? ' yet' : '';
  throw new MechanistError(
    'model-unsupported',
    `${file}: models of the family "${family.slice(0, 60)}" are not supported${planned}. Supported families: ${supportedFamilies.join(', ')}.`,
    { file, family, supported: supportedFamilies },
  );
}
