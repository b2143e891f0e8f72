import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Browser, chromium, type Frame, type Page } from 'playwright-core';
import { findBrowser } from '../../scripts/support/browser.mjs';
import { browserFlags } from '../../scripts/support/browserFlags.mjs';
import { type Box, boxOfWord, covers, drawnTints, selectionBoxes, tintAt } from './editorText.ts';

/** Milliseconds that anything may take on a busy machine with two cores. */
const slow = 90_000;

/** Folder of the pictures that a run leaves. */
const screenshotFolder = join('test-results', 'screenshots');

/** Colour themes of VS Code, by the folder that their pictures go to: name in the list, class of the workbench. */
export const themes = {
  dark: { label: 'Dark Modern', className: 'vs-dark' },
  light: { label: 'Light Modern', className: 'vs' },
  'high-contrast': { label: 'Dark High Contrast', className: 'hc-black' },
  'high-contrast-light': { label: 'Light High Contrast', className: 'hc-light' },
} as const;

export type Theme = keyof typeof themes;

/** Drives a browser-hosted VS Code the way a person does: keys, mouse, and what is to be seen. */
export class Workbench {
  private constructor(
    private readonly browser: Browser,
    readonly page: Page,
  ) {}

  /** Opens `url` in a fresh browser and waits for the workbench. */
  static async open(url: string): Promise<Workbench> {
    const path = findBrowser();
    if (!path) throw new Error('No Chromium, Chrome or Edge: set CHROMIUM_PATH.');
    const browser = await chromium.launch({ executablePath: path, args: browserFlags });
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(url, { waitUntil: 'commit', timeout: slow });
    await page.waitForSelector('.monaco-workbench', { timeout: slow });
    return new Workbench(browser, page);
  }

  close(): Promise<void> {
    return this.browser.close();
  }

  /** Opens a file of the workspace by Quick Open. */
  async openFile(name: string): Promise<void> {
    await this.quickInput(name, name);
    await this.page.waitForSelector(`.tab.active[data-resource-name="${name}"]`, { timeout: slow });
  }

  /** Gives the focus to the text beside a panel. Quick Open would open it once more where the focus is. */
  focusFirstGroup(): Promise<void> {
    return this.runCommand('View: Focus First Editor Group');
  }

  /** Runs a command from the palette by its whole title. */
  runCommand(title: string): Promise<void> {
    return this.quickInput(`>${title}`, title);
  }

  /** Types into the quick input and accepts the row that has `row` in it, once it is offered. */
  private async quickInput(text: string, row: string): Promise<void> {
    const { page } = this;
    for (let attempt = 1; ; attempt++) {
      await page.keyboard.press('F1');
      const input = page.locator('.quick-input-widget:not([style*="display: none"]) input[type="text"]').first();
      try {
        await input.waitFor({ timeout: 10_000 });
        await input.fill(text);
        const offered = page.locator('.quick-input-list .monaco-list-row').filter({ hasText: row });
        await offered.first().click({ timeout: 20_000 });
        return;
      } catch (error) {
        await page.keyboard.press('Escape');
        if (attempt === 4) throw error;
      }
    }
  }

  /** Waits until `read` gives something other than null or undefined. */
  async until<T>(what: string, read: () => Promise<T | null | undefined>, timeoutMs = slow): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = await read();
      if (value !== null && value !== undefined) return value;
      if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs / 1000} s: ${what}`);
      await this.page.waitForTimeout(200);
    }
  }

  /** Texts of all CodeLens rows that are drawn, top to bottom. */
  codeLenses(): Promise<string[]> {
    return this.texts('.codelens-decoration');
  }

  /** Text of the topmost CodeLens row that is as wanted, once there is one. */
  lensWith(wanted: RegExp): Promise<string> {
    return this.until(`a CodeLens with ${wanted}`, async () =>
      (await this.codeLenses()).find((row) => wanted.test(row)),
    );
  }

  /** Texts of the lines that are drawn, inlay hints included. */
  lines(): Promise<string[]> {
    return this.texts('.editor-instance .view-lines .view-line');
  }

  /** Texts of all status bar items. */
  statusBar(): Promise<string[]> {
    return this.texts('.statusbar-item');
  }

  /** Texts of the notifications on show. */
  notifications(): Promise<string[]> {
    return this.texts('.notifications-toasts .notification-list-item-message');
  }

  private async texts(selector: string): Promise<string[]> {
    const texts = await this.page.locator(selector).evaluateAll((elements) =>
      elements
        .map((element) => ({ top: element.getBoundingClientRect().top, text: element.textContent ?? '' }))
        .sort((a, b) => a.top - b.top)
        .map(({ text }) => text),
    );
    return texts.map((text) => text.replaceAll('\u00a0', ' ').trim());
  }

  /** Waits for `word` in the line that contains `line`, and says where it is drawn. */
  boxOf(line: string, word: string): Promise<Box> {
    return this.until(`the word "${word}" in the line "${line}"`, () => boxOfWord(this.page, line, word));
  }

  /** Waits until `word` has a tint behind it and returns the colour. */
  tintOf(line: string, word: string): Promise<string> {
    return this.until(`a tint on "${word}"`, async () => {
      const box = await boxOfWord(this.page, line, word);
      return box && tintAt(await drawnTints(this.page), box);
    });
  }

  /** Puts the mouse on a word until a hover that matches appears. Late decorations move text, so it tries again. */
  async hover(line: string, word: string, wanted: RegExp, timeoutMs = slow): Promise<string> {
    const { page } = this;
    const deadline = Date.now() + timeoutMs;
    let last = '';
    while (Date.now() < deadline) {
      const box = await this.boxOf(line, word);
      await page.mouse.move(box.x + box.width / 2, box.y - 200 > 0 ? 40 : 600);
      await page.waitForTimeout(300);
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 3 });
      for (let waited = 0; waited < 8000; waited += 250) {
        await page.waitForTimeout(250);
        last = await this.hoverText();
        if (wanted.test(last)) return last;
      }
    }
    throw new Error(`No hover on "${word}" matched ${wanted}; the last one said: ${last || '(nothing)'}`);
  }

  /** Text of the hover on show, or ''. */
  async hoverText(): Promise<string> {
    const hover = this.page.locator('.monaco-hover:not(.hidden) .hover-contents');
    return (await hover.allInnerTexts()).join('\n').replaceAll('\u00a0', ' ').trim();
  }

  /** Waits until `word` lies under the editor's selection. */
  selected(line: string, word: string): Promise<true> {
    return this.until(`"${word}" selected in the editor`, async () => {
      const box = await boxOfWord(this.page, line, word);
      return box && covers(await selectionBoxes(this.page), box) ? true : null;
    });
  }

  /** Clicks into a word of the editor, once late decorations no longer move it. */
  async click(line: string, word: string): Promise<void> {
    let box = await this.boxOf(line, word);
    await this.until(`"${word}" to stay in its place`, async () => {
      await this.page.waitForTimeout(400);
      const before = box;
      box = await this.boxOf(line, word);
      return box.x === before.x && box.y === before.y ? true : null;
    });
    await this.page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  }

  /** Puts the cursor at the end of a line of the active editor; numbers as the editor shows them. */
  async toEndOfLine(line: number): Promise<void> {
    await this.quickInput(`:${line}`, '');
    await this.until(`the cursor in line ${line}`, async () =>
      (await this.statusBar()).find((text) => text.startsWith(`Ln ${line},`)),
    );
    // In a wrapped line End goes first to the end of the row.
    await this.page.keyboard.press('End');
    await this.page.keyboard.press('End');
  }

  /** The document inside the visible webview panel whose body has text. */
  webview(): Promise<Frame> {
    return this.until('a webview with content', async () => {
      for (const outer of await this.page.locator('iframe.webview.ready').elementHandles()) {
        const inner = await (await outer.contentFrame())?.$('iframe#active-frame').catch(() => null);
        const frame = await inner?.contentFrame();
        const text = await frame?.evaluate(() => document.body?.textContent ?? '').catch(() => '');
        if (frame && text) return frame;
      }
      return null;
    });
  }

  /** The page of a webview that has an element with a text as wanted, once it is there, and the text. */
  frameWith(
    selector: string,
    wanted = /(?:)/,
    { except }: { readonly except?: Frame } = {},
  ): Promise<{ readonly frame: Frame; readonly text: string }> {
    return this.until(`a panel with ${selector} ${wanted}`, async () => {
      for (const frame of this.page.frames()) {
        const texts = await frame
          .locator(selector)
          .allTextContents()
          .catch(() => []);
        const text = texts.find((one) => wanted.test(one));
        if (text !== undefined && frame !== except) return { frame, text };
      }
      return null;
    });
  }

  /** Drags the border between the first two editor groups to `x`. */
  async dragEditorBorder(x: number): Promise<void> {
    const second = await this.page.locator('.part.editor .editor-group-container').nth(1).boundingBox();
    if (!second) throw new Error('There is no second editor group.');
    const y = second.y + second.height / 2;
    await this.page.mouse.move(second.x, y);
    // VS Code makes the border draggable a moment after the mouse is on it.
    await this.page.waitForTimeout(500);
    await this.page.mouse.down();
    await this.page.mouse.move(x, y, { steps: 10 });
    await this.page.mouse.up();
  }

  /** Saves a picture of the whole window. */
  async screenshot(theme: Theme, name: string): Promise<void> {
    const path = join(screenshotFolder, theme, `${name}.png`);
    mkdirSync(dirname(path), { recursive: true });
    await this.page.screenshot({ path, animations: 'disabled' });
  }

  /** Changes the colour theme as a person does, from the palette. */
  async useTheme(theme: Theme): Promise<void> {
    const { label, className } = themes[theme];
    await this.runCommand('Preferences: Color Theme');
    const input = this.page.locator('.quick-input-widget input[type="text"]').first();
    await this.page.locator('.quick-input-list .monaco-list-row').first().waitFor({ timeout: slow });
    await input.fill(label);
    await this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: label }).first().click();
    await this.page.waitForSelector(`.monaco-workbench.${className}`, { timeout: slow });
    await this.page.waitForTimeout(1000);
  }
}

/**
 * Settings under which VS Code's window is laid out as in the design pictures: no floating panels, menu bar shown.
 */
export const classicWindow = {
  'workbench.colorTheme': 'Default Dark Modern',
  'workbench.experimental.modernUI': false,
  'window.menuBarVisibility': 'classic',
  'editor.minimap.enabled': false,
};
