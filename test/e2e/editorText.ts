import type { Page } from 'playwright-core';

/** A box on the page, in CSS pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Where `word` is drawn in the active text editor.
 * @param line part of the line's text that tells it from the others
 * @returns null while the line or the word is not drawn
 */
export function boxOfWord(page: Page, line: string, word: string): Promise<Box | null> {
  return page.evaluate(
    ([lineText, wanted]) => {
      const plain = (text: string) => text.replaceAll('\u00a0', ' ').replaceAll('\u200b', '');
      for (const row of document.querySelectorAll('.editor-instance .view-lines .view-line')) {
        const text = plain(row.textContent ?? '');
        const at = text.includes(lineText) ? text.indexOf(wanted, Math.max(0, text.indexOf(lineText))) : -1;
        if (at < 0) continue;
        const range = document.createRange();
        const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
        let seen = 0;
        let started = false;
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
          const length = node.textContent?.length ?? 0;
          if (!started && at < seen + length) {
            range.setStart(node, at - seen);
            started = true;
          }
          if (started && at + wanted.length <= seen + length) {
            range.setEnd(node, at + wanted.length - seen);
            const { x, y, width, height } = range.getBoundingClientRect();
            return { x, y, width, height };
          }
          seen += length;
        }
      }
      return null;
    },
    [line, word] as const,
  );
}

/** A background that a decoration draws behind text. */
export interface Tint extends Box {
  /** CSS colour as computed, with alpha. */
  readonly color: string;
}

/** All coloured backgrounds that extensions' decorations draw in the visible editors. */
export function drawnTints(page: Page): Promise<Tint[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('.editor-instance .view-overlays .cdr[class*="ced-"]')]
      .map((element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return { x, y, width, height, color: getComputedStyle(element).backgroundColor };
      })
      .filter(({ color }) => color !== 'rgba(0, 0, 0, 0)' && color !== 'transparent'),
  );
}

/** Where the selection of the visible editors is drawn. */
export function selectionBoxes(page: Page): Promise<Box[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('.editor-instance .view-overlays .selected-text')].map((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      return { x, y, width, height };
    }),
  );
}

/** The one of `boxes` that covers the middle of `box`. */
export function covers<T extends Box>(boxes: readonly T[], box: Box): T | undefined {
  const x = box.x + box.width / 2;
  const y = box.y + box.height / 2;
  return boxes.find((t) => t.x <= x && x <= t.x + t.width && t.y <= y && y <= t.y + t.height);
}

/** The tint that covers the middle of `box`, or null. */
export function tintAt(tints: readonly Tint[], box: Box): string | null {
  return covers(tints, box)?.color ?? null;
}
