import { acronymText, ioiText, panelState, readBook } from '../datasetFixture.ts';
import { shootPanel } from './shootPanel.ts';

/** Takes pictures of the dataset panel into `folder`. */
export async function shoot(folder: string, only?: string): Promise<void> {
  const acronyms = await readBook(await acronymText(60), 'acronyms');
  const state = panelState(acronyms);
  const form = panelState(await readBook(await acronymText(60), null), {
    notice: 'acronyms is not on this machine (3 MB to download): only the form of the rows is checked.',
  });
  const ioi = panelState(await readBook(await ioiText(8), 'small-world'), { title: 'ioi.jsonl' });
  const refused = panelState(acronyms, {
    window: { filter: 'refused', from: 0, rows: acronyms.rows({ by: 'refused', from: 0, count: 80 }) },
  });
  const cur = { corruption: 'cur:L2', row: 2, token: 4 };
  const shots = [
    { name: 'dark-1200', theme: 'dark', width: 1200, state, kept: { row: 2, token: 8 } },
    { name: 'light-1200', theme: 'light', width: 1200, state, kept: cur },
    { name: 'refused-dark-900', theme: 'dark', width: 900, state: refused, kept: { filter: 'refused' } },
    { name: 'ioi-light-900', theme: 'light', width: 900, state: ioi, kept: { corruption: 'abc' } },
    { name: 'form-dark-700', theme: 'dark', width: 700, state: form },
    { name: 'light-420', theme: 'light', width: 420, state, kept: cur },
    { name: 'contrast-1070', theme: 'highContrastDark', width: 1070, state, kept: cur },
  ] as const;
  await shootPanel('dataset', shots, folder, only);
}
