import { MechanistError } from '../../shared/errors.ts';
import type { ModelFamily } from './modelConfig.ts';

/** Families whose results are checked against HF transformers. Everything else is refused, by name. */
const supportedFamilies: readonly ModelFamily[] = ['gpt2', 'gpt_neo', 'gpt_neox', 'llama', 'mistral', 'qwen2'];

/** The family called `name` in a config or in GGUF metadata; null when Mechanist does not know it. */
export function familyNamed(name: string): ModelFamily | null {
  const spelled = name === 'gptneox' ? 'gpt_neox' : name === 'gptneo' ? 'gpt_neo' : name;
  return supportedFamilies.find((family) => family === spelled) ?? null;
}

/** @throws model-unsupported, naming the family and what is supported */
export function refuseFamily(file: string, family: string, supported = supportedFamilies): never {
  throw new MechanistError(
    'model-unsupported',
    `${file}: models of the family "${family.slice(0, 60)}" are not supported here. Supported families: ${supported.join(', ')}.`,
    { file, family, supported },
  );
}
