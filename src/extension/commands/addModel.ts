import * as vscode from 'vscode';
import type { ModelListing } from '../../shared/modelInfo.ts';
import { listingDetail } from '../promptLanguage/frontMatterHelp.ts';
import type { CommandContext } from './commandContext.ts';
import { downloadModel } from './downloadModel.ts';

type Item = vscode.QuickPickItem & { readonly id?: string; readonly source?: 'folder' | 'file' };

function catalogueItem(listing: ModelListing): Item {
  return {
    label: listing.ref,
    description: listing.label === listing.ref ? listing.family : listing.label,
    detail: listingDetail(listing),
    id: listing.ref,
  };
}

async function askPath(source: 'folder' | 'file'): Promise<string | undefined> {
  const folder = source === 'folder';
  const picked = await vscode.window.showOpenDialog({
    title: folder ? 'Folder with config.json, weights and tokenizer' : 'GGUF file',
    openLabel: 'Add Model',
    canSelectFolders: folder,
    canSelectFiles: !folder,
    canSelectMany: false,
    ...(!folder && { filters: { GGUF: ['gguf'] } }),
  });
  return picked?.[0]?.fsPath;
}

async function addPath({ engine, models, messages }: CommandContext, path: string): Promise<string | undefined> {
  const info = await messages.runWithProgress(`Reading ${path}`, (signal, onProgress) =>
    engine.request('models.add', { path }, { signal, onProgress }),
  );
  if (info) models.refresh();
  return info?.ref;
}

/** Adds a model: a catalogue entry is downloaded, a folder or GGUF file is checked. Resolves to its name. */
export async function addModel(context: CommandContext): Promise<string | undefined> {
  // Not the directory's list: what memory is free changes.
  const listings = await context.engine.request('models.list', null);
  const remote = listings.filter((l) => l.state === 'remote').map(catalogueItem);
  const items: Item[] = [
    ...remote,
    { label: '', kind: vscode.QuickPickItemKind.Separator },
    { label: '$(folder) Local folder…', detail: 'config.json, model.safetensors, tokenizer', source: 'folder' },
    { label: '$(file-binary) GGUF file…', detail: 'F32, F16, BF16, Q8_0, Q4_0 to Q6_K', source: 'file' },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: 'Add Model', matchOnDetail: true });
  if (!picked) return undefined;
  if (picked.id !== undefined) return (await downloadModel(context, { id: picked.id })) && picked.id;
  const path = picked.source && (await askPath(picked.source));
  return path === undefined ? undefined : await addPath(context, path);
}
