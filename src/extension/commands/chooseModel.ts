import * as vscode from 'vscode';
import { plainText } from '../../core/tasks/editFrontMatter.ts';
import type { PromptTarget } from '../../shared/contributions.ts';
import type { ModelListing } from '../../shared/modelInfo.ts';
import { listingDetail } from '../promptLanguage/frontMatterHelp.ts';
import { addModel } from './addModel.ts';
import { type CommandContext, findPrompt } from './commandContext.ts';
import { downloadModel } from './downloadModel.ts';
import { writeFrontMatter } from './writeFrontMatter.ts';

type Item = vscode.QuickPickItem & { readonly listing: ModelListing | null };

/** Asks for a model and writes it into the front matter; one that is not here yet is downloaded. */
export async function chooseModel(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const { document, session } = await findPrompt(context, given);
  const { choice } = session;
  const named = choice?.kind === 'use' ? (choice.insteadOf?.name ?? choice.ref) : choice?.absent.name;
  const listings = await context.models.list();
  const items: Item[] = [
    ...listings.map((listing) => ({
      label: listing.ref,
      description: [listing.label === listing.ref ? '' : listing.label, listing.ref === named ? 'in force' : '']
        .filter(Boolean)
        .join(' · '),
      detail: listingDetail(listing),
      listing,
    })),
    { label: '$(add) Add a folder or a GGUF file…', listing: null },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: 'Choose Model', matchOnDetail: true });
  if (!picked) return;
  const ref = picked.listing ? picked.listing.ref : await addModel(context);
  if (ref === undefined) return;
  if (ref !== named) await writeFrontMatter(document, ['model', plainText(ref)]);
  if (picked.listing?.state === 'remote') await downloadModel(context, { id: ref });
}
