// Helpers of the browser tests.
// This file starts and kills a server, opens pages that report every error, signs users up, and waits for conditions.
// It must not contain assertions about the chat; those belong to the tests.

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
/** The longest wait for a condition on a slow machine, in milliseconds. */
export const TIMEOUT_MS = 30_000;
export const PASSWORD = 'a quiet afternoon';
export const SCREENSHOTS = join(HERE, 'shots');

const DESKTOP = { width: 1180, height: 760 };
export const PHONE = { width: 390, height: 844 };

/** A server with temporary data, and a free port that stays the same after a restart. */
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
        GREENROOM_LIMIT_API_PER_SECOND: '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const child = this.#child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#output += text));
    const failed = new Promise((_, reject) => child.once('error', reject));
    await Promise.race([
      failed,
      waitUntil(
        () => this.#healthy(child),
        'the server is healthy',
        () => this.#output,
      ),
    ]);
  }

  /** Kills the process at once, as a power failure does. */
  async kill() {
    const child = this.#child;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await ended;
  }

  async remove() {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  async #healthy(child) {
    assert.equal(child.exitCode, null, `the server ended by itself:\n${this.#output}`);
    return fetch(`${this.url}/health`).then(
      (response) => response.ok,
      () => false,
    );
  }

  /** Sends one REST call. @returns the parsed answer */
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

/** Opens a page in its own context. `problems` collects the errors and warnings of the page and its console. */
export async function openPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, locale: 'en-GB', reducedMotion: 'reduce', ...options });
  const problems = [];
  context.on('page', (page) => collectProblems(page, problems));
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(server.url);
  return { context, page, problems };
}

/** Collects errors and warnings, except those of an unreachable network, which the tests cause. */
function collectProblems(page, problems) {
  const network =
    /net::ERR_(CONNECTION|INTERNET|NETWORK|ABORTED|EMPTY_RESPONSE|SOCKET)|WebSocket connection to .* failed/;
  page.on('pageerror', (error) => problems.push(String(error.stack ?? error)));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    const text = `${message.text()} ${message.location().url ?? ''}`;
    if (!network.test(text)) problems.push(text);
  });
}

/** Creates an account in the page. */
export async function signUp(page, { username, name }) {
  await page.getByRole('link', { name: 'Create account', exact: true }).click();
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill(username);
  await page.getByRole('textbox', { name: 'Display name', exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await page.getByRole('button', { name: 'New conversation', exact: true }).waitFor();
}

/** Creates an account without a page. @returns {Promise<{id: string, token: string}>} */
export async function register(server, { username, name }) {
  const body = { username, display_name: name, password: PASSWORD };
  const { user, access_token } = await server.call('POST', '/auth/register', { body });
  return { id: user.id, token: access_token };
}

/**
 * Writes many messages without a page, in the order of their numbers.
 * @param {{token: string}} author
 * @param {(number: number) => string} textOf
 */
export async function writeMany(server, author, conversationId, { count, textOf = (number) => `Line ${number}` }) {
  for (let number = 1; number <= count; number += 1) {
    const content = textOf(number);
    const body = { content, temp_id: `${Date.now()}-${number}` };
    await server.call('POST', `/conversations/${conversationId}/messages`, { token: author.token, body });
  }
}

export async function signIn(page, { username }, password = PASSWORD) {
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill(username);
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'New conversation', exact: true }).waitFor();
}

/** Opens a direct conversation with a user by searching. */
export async function writeTo(page, name) {
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('searchbox', { name: 'Find people' }).fill(name);
  await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  await page.getByRole('heading', { name, exact: true }).waitFor();
}

export async function send(page, text) {
  const box = page.getByRole('textbox', { name: 'Message', exact: true });
  await box.fill(text);
  await box.press('Enter');
}

export function messageList(page) {
  return page.getByRole('log', { name: 'Messages' });
}

/** Opens the menu of a message. @returns the menu */
export async function messageMenu(page, message) {
  await message.hover();
  await message.getByRole('button', { name: 'Message actions' }).click();
  return page.getByRole('menu', { name: 'Message actions' });
}

/** Chooses an item in the menu of a message. */
export async function chooseFromMenu(page, message, item) {
  const menu = await messageMenu(page, message);
  await menu.getByRole('menuitem', { name: item, exact: true }).click();
}

/** Returns the row of a conversation in the list. */
export function inList(page, name) {
  return page
    .getByRole('list', { name: 'Conversations', exact: true })
    .getByRole('link')
    .filter({ has: page.locator('.conversation-name').getByText(name, { exact: true }) });
}

/** Returns the texts of the open room, from top to bottom. */
export function messageTexts(page) {
  return messageList(page).locator('.message-text').allTextContents();
}

/** Waits until the room shows exactly these texts. */
export async function waitForTexts(page, expected) {
  let shown = [];
  const same = async () => {
    shown = await messageTexts(page);
    return shown.length === expected.length && shown.every((text, index) => text === expected[index]);
  };
  await waitUntil(
    same,
    `the room shows ${expected.length} messages`,
    () => `expected ${JSON.stringify(expected)}\nshown    ${JSON.stringify(shown)}`,
  );
}

/** Waits until a condition is true. @param {() => string} detail returns details for the failure message */
export async function waitUntil(condition, description, detail = () => '') {
  const end = Date.now() + TIMEOUT_MS;
  for (;;) {
    if (await condition()) return;
    assert.ok(Date.now() < end, `after ${TIMEOUT_MS / 1000} s this is not true: ${description}\n${detail()}`);
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
