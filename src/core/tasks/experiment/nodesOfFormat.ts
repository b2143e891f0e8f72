import type { Node } from 'yaml';
import type { YamlReader } from './experimentYaml.ts';

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

/** Every value below a parameter whose JSON Schema has this `format`, in the order of the text. */
export function nodesOfFormat(reader: YamlReader, schema: unknown, node: Node | null, format: string): Node[] {
  if (!isSchema(schema) || node === null) return [];
  if (schema.format === format) return [node];
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const others = isSchema(schema.additionalProperties) ? schema.additionalProperties : undefined;
  const below = (own: unknown, value: Node | null) => nodesOfFormat(reader, own, value, format);
  const alternatives = [schema.oneOf, schema.anyOf].filter(Array.isArray).flat();
  return [
    ...reader.pairsOf(node).flatMap(({ name, value }) => below(properties[name] ?? others, value)),
    ...reader.itemsOf(node).flatMap((item) => below(schema.items, item)),
    ...alternatives.flatMap((form) => below(form, node)),
  ];
}
