import { isScalar, type Node } from 'yaml';
import type { ParamsSchema } from '../../experiments/stepKind.ts';
import type { LocatedPath } from '../frontMatter.ts';
import { pathProblems } from '../frontMatterPropagation.ts';
import { scalarText, type YamlReader } from './experimentYaml.ts';
import { nodesOfFormat } from './nodesOfFormat.ts';

/** `format` of a parameter's JSON Schema that is a path of nodes: `L21.H4@name <= MLP 12`. */
export const pathFormat = 'path';

/** Paths in a step's parameters. What is wrong with one whatever the model is reported at the word. */
export function pathRefs(reader: YamlReader, params: ParamsSchema, node: Node | null): readonly LocatedPath[] {
  return nodesOfFormat(reader, params, node, pathFormat).flatMap((own): LocatedPath[] => {
    if (!isScalar(own) || typeof own.value !== 'string') return [];
    const range = reader.rangeOf(own);
    const quoted = own.type === 'QUOTE_DOUBLE' || own.type === 'QUOTE_SINGLE';
    const path: LocatedPath = { value: scalarText(own), textStart: range.start + (quoted ? 1 : 0), ...range };
    const problems = pathProblems(path);
    for (const { start, end, message, fix } of problems) {
      reader.report({ start, end }, 'bad-path', message, fix && { title: fix.title, newText: fix.newText });
    }
    return problems.length === 0 ? [path] : [];
  });
}
