// What the browser tests stand on.
// Lives here: starting and killing a server, opening pages that report every error, people who sign up, and waiting for
// conditions. May not live here: expectations about the chat; those belong to the tests.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '../..');
const BINARY = resolve(ROOT, process.env.GREENROOM_BIN ?? 'target/debug/greenroom');
const FLAGS = [
  '--no-sandbox',
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** How long a condition may take to come true on a slow machine, in milliseconds. It is a limit, not a wait. */
export const PATIENCE = 30_000;
export const PASSWORD = 'a quiet afternoon';
export const SHOTS = join(HERE, 'shots');

const DESKTOP = { width: 1180, height: 760 };
export const PHONE = { width: 390, height: 844 };

/** A server of its own: temporary data, a free port that stays the same across restarts. */
export class Server {
  #child = null;
  #output = '';

  static async create() {
    const server = new Server();
    server.data = await mkdtemp(join(tmpdir(), 'greenroom-browser-'));
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    return server;
  }

  async start() {
    this.#child = spawn(BINARY, ['serve'], {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        GREENROOM_DATA_DIR: this.data,
        GREENROOM_HOST: '127.0.0.1',
        GREENROOM_PORT: String(this.port),
        GREENROOM_LIMIT_AUTH_PER_MINUTE: '0',
        GREENROOM_LIMIT_SENDS_PER_SECOND: '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const child = this.#child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#output += text));
    const failed = new Promise((_, reject) => child.once('error', reject));
    await Promise.race([
      failed,
      until(
        () => this.#healthy(child),
        'the server is healthy',
        () => this.#output,
      ),
    ]);
  }

  /** What a power cut does to a process. */
  async killNine() {
    const child = this.#child;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await ended;
  }

  async remove() {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) await this.killNine();
    await rm(this.data, { recursive: true, force: true });
  }

  async #healthy(child) {
    assert.equal(child.exitCode, null, `the server ended by itself:\n${this.#output}`);
    return fetch(`${this.url}/health`).then(
      (response) => response.ok,
      () => false,
    );
  }

  /** One REST call. @returns the parsed answer */
  async call(method, path, { token, body } = {}) {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }
}

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
}

/** A page in a context of its own; `problems` gathers what the console and the page complained about. */
export async function openPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, locale: 'en-GB', reducedMotion: 'reduce', ...options });
  const problems = [];
  context.on('page', (page) => listen(page, problems));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(server.url);
  return { context, page, problems };
}

/** A network that is away is not the page's fault; everything else on the console is. */
function listen(page, problems) {
  const network =
    /net::ERR_(CONNECTION|INTERNET|NETWORK|ABORTED|EMPTY_RESPONSE|SOCKET)|WebSocket connection to .* failed/;
  page.on('pageerror', (error) => problems.push(String(error.stack ?? error)));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    const text = `${message.text()} ${message.location().url ?? ''}`;
    if (!network.test(text)) problems.push(text);
  });
}

/** Signs up in the page, as a newcomer would. */
export async function signUp(page, { username, name }) {
  await page.getByRole('link', { name: 'Create account', exact: true }).click();
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill(username);
  await page.getByRole('textbox', { name: 'Display name', exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await page.getByRole('button', { name: 'New conversation', exact: true }).waitFor();
}

/** Makes an account without a page. @returns {Promise<{id: string, token: string}>} */
export async function register(server, { username, name }) {
  const body = { username, display_name: name, password: PASSWORD };
  const { user, access_token } = await server.call('POST', '/auth/register', { body });
  return { id: user.id, token: access_token };
}

export async function signIn(page, { username }, password = PASSWORD) {
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill(username);
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'New conversation', exact: true }).waitFor();
}

/** Opens a direct conversation by finding somebody. */
export async function writeTo(page, name) {
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('searchbox', { name: 'Find people' }).fill(name);
  await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  await page.getByRole('heading', { name, exact: true }).waitFor();
}

export async function say(page, text) {
  const box = page.getByRole('textbox', { name: 'Message', exact: true });
  await box.fill(text);
  await box.press('Enter');
}

export function log(page) {
  return page.getByRole('log', { name: 'Messages' });
}

/** Opens the menu of a message. @returns the menu */
export async function messageMenu(page, message) {
  await message.hover();
  await message.getByRole('button', { name: 'Message actions' }).click();
  return page.getByRole('menu', { name: 'Message actions' });
}

/** Chooses something from the menu of a message. */
export async function choose(page, message, item) {
  const menu = await messageMenu(page, message);
  await menu.getByRole('menuitem', { name: item, exact: true }).click();
}

/** The row of a conversation in the list. */
export function inList(page, name) {
  return page
    .getByRole('list', { name: 'Conversations', exact: true })
    .getByRole('link')
    .filter({ has: page.locator('.conversation-name').getByText(name, { exact: true }) });
}

/** The texts of the open room, from top to bottom. */
export function texts(page) {
  return log(page).locator('.message-text').allTextContents();
}

/** Waits until the room shows exactly these texts. */
export async function shows(page, expected) {
  let seen = [];
  const same = async () => {
    seen = await texts(page);
    return seen.length === expected.length && seen.every((text, index) => text === expected[index]);
  };
  await until(
    same,
    `the room shows ${expected.length} messages`,
    () => `expected ${JSON.stringify(expected)}\nshown    ${JSON.stringify(seen)}`,
  );
}

/** Polls a condition until it holds. @param {() => string} detail for the failure */
export async function until(condition, what, detail = () => '') {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await condition()) return;
    assert.ok(Date.now() < end, `waited ${PATIENCE / 1000} s in vain until ${what}\n${detail()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}
