import type { JsonSchema } from './experimentDocuments.ts';

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null;

/** What is written under one key: a name and what it means. */
export interface SchemaWord {
  readonly name: string;
  readonly description: string;
}

/** Reads a JSON Schema along the places of an experiment file. */
export class SchemaWalk {
  constructor(readonly root: JsonSchema) {}

  /** The analyses, with what they do. */
  kinds(): readonly SchemaWord[] {
    return Object.entries(this.#parameters()).map(([name, schema]) => ({ name, description: descriptionOf(schema) }));
  }

  /**
   * The forms that may stand at a path of keys and list items (`-`).
   * @param kind the analysis of the step around it, for its parameters
   */
  at(path: readonly string[], kind: string | null): readonly JsonSchema[] {
    const [first, second, third, ...rest] = path;
    const inParameters = first === 'steps' && second === '-' && third === 'with';
    const start: unknown = inParameters ? this.#parameters()[kind ?? ''] : this.root;
    let forms = this.#forms(start);
    for (const step of inParameters ? rest : path) {
      forms = forms.flatMap((form) => {
        if (step === '-') return this.#forms(form.items);
        return this.#forms((form.properties as Readonly<Record<string, unknown>> | undefined)?.[step]);
      });
    }
    return forms;
  }

  /** Keys that may be written at a path. */
  keys(path: readonly string[], kind: string | null): readonly SchemaWord[] {
    return this.at(path, kind).flatMap((form) =>
      Object.entries((form.properties as Readonly<Record<string, unknown>> | undefined) ?? {}).map(
        ([name, schema]) => ({
          name,
          description: descriptionOf(schema),
        }),
      ),
    );
  }

  /** Words that may be written at a path: of an enumeration, or true and false. */
  values(path: readonly string[], kind: string | null): readonly string[] {
    const words = this.at(path, kind).flatMap((form) => {
      if (Array.isArray(form.enum)) return form.enum.map(String);
      if (form.const !== undefined) return [String(form.const)];
      return form.type === 'boolean' ? ['true', 'false'] : [];
    });
    return [...new Set(words)];
  }

  /** What the key at the end of a path means. */
  description(path: readonly string[], kind: string | null): string {
    const key = path.at(-1);
    return this.keys(path.slice(0, -1), kind).find(({ name }) => name === key)?.description ?? '';
  }

  #parameters(): Readonly<Record<string, unknown>> {
    const { definitions } = this.root as { readonly definitions?: { readonly parameters?: Record<string, unknown> } };
    return definitions?.parameters ?? {};
  }

  /** A schema, or each of its alternatives, with references followed. */
  #forms(schema: unknown): readonly JsonSchema[] {
    if (!isSchema(schema)) return [];
    if (typeof schema.$ref === 'string') {
      let found: unknown = this.root;
      for (const key of schema.$ref.split('/').slice(1)) found = isSchema(found) ? found[key] : undefined;
      return this.#forms(found);
    }
    const alternatives = [schema.oneOf, schema.anyOf].filter(Array.isArray).flat();
    return alternatives.length === 0 ? [schema] : [schema, ...alternatives.flatMap((form) => this.#forms(form))];
  }
}

function descriptionOf(schema: unknown): string {
  if (!isSchema(schema)) return '';
  const words = Array.isArray(schema.enum)
    ? `\n\nOne of ${schema.enum.map((word) => `\`${String(word)}\``).join(', ')}.`
    : '';
  const standard = schema.default === undefined ? '' : `\n\nDefault: \`${JSON.stringify(schema.default)}\`.`;
  return `${typeof schema.description === 'string' ? schema.description : ''}${words}${standard}`;
}
