// Uses the interactive documentation of a running service as a person would, in headless Chromium:
//
//     NODE_PATH=…/node_modules node docs.cjs ROOT_URL TOKEN [--pictures DIR]
//
// It authorises with the token, reads users and creates one by "Try it out", and asks the service itself whether
// the user exists. The page must not write to the console, ask another host, or be refused anything by its
// policy. With --pictures it draws the page in two widths and in both colours. The last line counts the checks.
//
// The service may have another public URL than ROOT_URL, in the variable PUBLIC_URL. Then the page still calls the
// address at which it was opened, and other readers of the description get the public URL.

const fs = require("node:fs");
const path = require("node:path");
const puppeteer = require("puppeteer-core");

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const WIDTHS = [1280, 390];
const WAIT = { timeout: 30_000 };

const [root, token, option, pictures] = process.argv.slice(2);
const host = new URL(root).host;
const publicUrl = process.env.PUBLIC_URL ?? root;
let passed = 0;
const failures = [];

function check(name, problem) {
  if (problem) failures.push(`${name}: ${problem}`);
  else passed += 1;
  console.log(`${problem ? "FAILED" : "ok    "} ${name}${problem ? `: ${problem}` : ""}`);
}

// What the page says or asks for that it must not.
function watch(page, seen) {
  // Chromium's own hints for authors, which its console hides, are no messages of the page.
  page.on("console", (message) => message.type() === "verbose" || seen.push(`console: ${message.type()} ${message.text()}`));
  page.on("pageerror", (error) => seen.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => seen.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== host) seen.push(`another host: ${request.url()}`);
  });
  return page.evaluateOnNewDocument(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      window.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
}

// Opens an operation of users, and returns the selector of its block. The page may make the block anew when it
// reads the description again, so elements are looked up each time.
async function open(page, operation) {
  const block = `#operations-Users-${operation}`;
  const control = await page.waitForSelector(`${block} .opblock-summary-control`, WAIT);
  await control.evaluate((one) => one.click());
  // Its button is there before the operation was read, and would then send nothing.
  await page.waitForSelector(`${block} tr[data-param-name]`, WAIT);
  return block;
}

// Sends the request of a block, and returns the status that the page shows.
async function execute(page, block) {
  await page.$eval(`${block} .execute`, (one) => one.click());
  const status = await page.waitForSelector(`${block} .live-responses-table .response .response-col_status`, WAIT);
  return (await status.evaluate((one) => one.textContent)).trim().slice(0, 3);
}

async function openUsers(page) {
  await page.waitForSelector('.opblock-tag[data-tag="Users"]', WAIT);
  await page.$eval('.opblock-tag[data-tag="Users"]', (one) => one.click());
}

async function authorize(page) {
  await (await page.waitForSelector(".auth-wrapper .authorize", WAIT)).click();
  const field = await page.waitForSelector("#auth-bearer-value", WAIT);
  await field.type(token);
  await (await page.waitForSelector(".auth-container .authorize", WAIT)).click();
  const urls = await page.$$eval(".auth-container code", (all) => all.map((one) => one.textContent));
  const tokenUrl = `${root}/oauth/token`;
  check("OAuth tokens come from where the page was opened", urls.includes(tokenUrl) ? "" : urls.join());
  await (await page.waitForSelector(".btn-done", WAIT)).click();
}

// Generators of clients read the description too, and need the public URL.
async function checkDescription() {
  const description = await (await fetch(`${root}/openapi.json`)).json();
  const url = description.servers[0].url;
  check("the description names the public URL", url === publicUrl ? "" : url);
}

// Asks the service itself.
async function users(name) {
  const query = new URLSearchParams({ filter: `userName eq "${name}"` });
  const answer = await fetch(`${root}/scim/v2/Users?${query}`, { headers: { Authorization: `Bearer ${token}` } });
  return (await answer.json()).totalResults;
}

async function tryOut(browser) {
  const page = await browser.newPage();
  const seen = [];
  await watch(page, seen);
  await page.setViewport({ width: 1280, height: 900 });
  const answer = await page.goto(`${root}/docs`, { waitUntil: "networkidle0" });
  check("the page loads", answer.status() === 200 ? "" : `status ${answer.status()}`);
  const described = (wanted) => page.$$eval(".opblock-tag", (tags, wanted) => tags.some((one) => one.dataset.tag === wanted), wanted);
  await page.waitForSelector(".opblock-tag", WAIT);
  check("it shows the endpoints", (await described("Users")) ? "" : "there is no tag Users");

  const again = page.waitForResponse((one) => one.url().endsWith("/openapi.json") && one.request().headers().authorization, WAIT);
  await authorize(page);
  check("the description is read again with the token", (await again).status() === 200 ? "" : "it is refused");
  for (const tag of process.env.OWN_ENDPOINT ? [process.env.OWN_ENDPOINT] : []) {
    await page.waitForFunction((tag) => document.querySelector(`.opblock-tag[data-tag="${tag}"]`), WAIT, tag).catch(() => {});
    check("it shows the tenant's own type", (await described(tag)) ? "" : `there is no tag ${tag}`);
  }

  await openUsers(page);
  const listed = await execute(page, await open(page, "listUsers"));
  check("a GET is answered with 200", listed === "200" ? "" : `it was ${listed}`);

  const name = `docs-${process.pid}-${Date.now()}@example.com`;
  const create = await open(page, "createUser");
  const body = await page.waitForSelector(`${create} textarea.body-param__text`, WAIT);
  const text = await body.evaluate((one) => one.value);
  check("the body begins as an example", text.includes("urn:ietf:params:scim:schemas:core:2.0:User") ? "" : text);
  await body.focus();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.sendCharacter(text.replaceAll("ada@example.com", name));
  const created = await execute(page, create);
  check("a POST is answered with 201", created === "201" ? "" : `it was ${created}`);
  check("the user exists", (await users(name)) === 1 ? "" : "it does not");

  seen.push(...(await page.evaluate(() => window.violations)).map((one) => `policy: ${one}`));
  check("nothing is written to the console, asked elsewhere or refused", seen.join("; "));
  const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie].join());
  check("the token is not kept", kept === "0,0," ? "" : kept);
  await page.close();
}

async function draw(browser, folder) {
  fs.mkdirSync(folder, { recursive: true });
  for (const width of WIDTHS) {
    for (const colour of ["light", "dark"]) {
      const page = await browser.newPage();
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: colour }]);
      await page.setViewport({ width, height: width > 600 ? 900 : 844 });
      for (const [name, url] of [["home", `${root}/`], ["docs", `${root}/docs`]]) {
        await page.goto(url, { waitUntil: "networkidle0" });
        await page.screenshot({ path: path.join(folder, `${name}-${width}-${colour}.png`) });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        check(`${name} at ${width} px, ${colour}, is no wider than the window`, wide > 0 ? `${wide} px too wide` : "");
      }
      await openUsers(page);
      await page.$eval(await open(page, "createUser"), (one) => one.scrollIntoView());
      await page.screenshot({ path: path.join(folder, `operation-${width}-${colour}.png`) });
      await page.close();
    }
  }
}

async function main() {
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    await checkDescription();
    await tryOut(browser);
    if (option === "--pictures") await draw(browser, pictures);
  } finally {
    await browser.close();
  }
  console.log(`docs: ${passed} passed, ${failures.length} failed, 0 skipped`);
  process.exitCode = failures.length ? 1 : 0;
}

main();
