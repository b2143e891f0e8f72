import type { DatasetHeader, SetRef, TokenRef } from '../../shared/dataset.ts';
import { visibleToken } from '../../shared/format.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { JsonPath } from './datasetJson.ts';
import type { Report } from './datasetReport.ts';
import { nearestWord } from './nearestWord.ts';
import { checkTerms } from './observable.ts';

function tokenId(token: TokenRef, path: JsonPath, tokenizer: Tokenizer, report: Report): number | null {
  if (typeof token === 'number') {
    if (token < tokenizer.dVocab) return token;
    const message = `There is no token ${token}: the model's vocabulary has ${tokenizer.dVocab}. Was this file made for another model?`;
    report(path, 'unknown-token', message);
    return null;
  }
  const [{ pieces, suggestion }] = checkTerms([token], tokenizer);
  if (pieces.length === 1) return pieces[0].id;
  const split = pieces.map((piece) => visibleToken(piece.text)).join(' | ');
  const advice =
    suggestion === null ? 'Choose one that is a single token.' : `Write "${suggestion}", which is one token.`;
  report(path, 'token-splits', `"${token}" is ${pieces.length} tokens: ${split}. ${advice}`);
  return null;
}

/** Tokens whose ids are remembered. */
const MOST_IDS = 100_000;

const silent: Report = () => {};

/** The named sets of a file in one model's vocabulary. */
export class TokenSets {
  private readonly known = new Map<string, readonly number[] | null>();
  /** Answers and foils come again and again. */
  private readonly ids = new Map<TokenRef, number>();

  constructor(
    readonly header: DatasetHeader | null,
    readonly tokenizer: Tokenizer,
  ) {}

  /** The id of one token, or null with the reason reported: the split, and the spelling that is one token. */
  id(token: TokenRef, path: JsonPath, report: Report): number | null {
    const known = this.ids.get(token);
    if (known !== undefined) return known;
    const id = tokenId(token, path, this.tokenizer, report);
    if (id !== null && this.ids.size < MOST_IDS) this.ids.set(token, id);
    return id;
  }

  /** The set that the tokens of a role must belong to; null: any. */
  ofRole(name: string): SetRef | null {
    return this.header?.roles[name] ?? null;
  }

  /** Ids of a set, each once; null with the reason reported at `path`. */
  members(set: SetRef, path: JsonPath, report: Report): readonly number[] | null {
    const name = set.slice(1);
    const tokens = this.header?.sets[name];
    if (tokens === undefined) {
      const near = nearestWord(name, Object.keys(this.header?.sets ?? {}));
      const advice =
        near === null ? 'Sets are named in the header: {"dataset": {"sets": …}}.' : `Did you mean @${near}?`;
      report(path, 'unknown-set', `There is no set ${set}. ${advice}`);
      return null;
    }
    const known = this.known.get(name);
    const ids = known === undefined ? this.resolve(name, tokens) : known;
    if (ids === null) report(path, 'unknown-set', `The set ${set} cannot be used with this model: see the header.`);
    return ids;
  }

  private resolve(name: string, tokens: readonly TokenRef[], report: Report = silent): readonly number[] | null {
    const ids = tokens.map((token, i) => this.id(token, ['dataset', 'sets', name, i], report));
    const known = ids.includes(null) || ids.length === 0 ? null : [...new Set(ids as number[])];
    if (ids.length === 0) report(['dataset', 'sets', name], 'wrong-type', `The set ${name} is empty.`);
    this.known.set(name, known);
    return known;
  }

  /** Reports what is wrong with the sets, on the header's line. */
  check(report: Report): void {
    for (const [name, tokens] of Object.entries(this.header?.sets ?? {})) this.resolve(name, tokens, report);
    for (const [role, set] of Object.entries(this.header?.roles ?? {})) {
      if (this.header?.sets[set.slice(1)] === undefined) this.members(set, ['dataset', 'roles', role], report);
    }
  }
}
