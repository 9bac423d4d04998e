"use strict";
// The page: what is chosen lives in `look`, what was given and made on the server, in this browser's session.

const $ = id => document.getElementById(id);
const look = { expression: "", sliders: {}, turn: [0, 0, 0], face: 0 };
let photo = null, other = null, reference = null, driver = null, results = [], shown = null;
let tab = "still", running = 0;

// ── talking to the server ────────────────────────────────────────────────────────────────────────────────────────
async function ask(path, body, field = "result") {
  clear();
  const options = body === undefined ? {} : { method: "POST", body: body instanceof Blob ? body : JSON.stringify(body) };
  let answer;
  try { answer = await fetch(path, options); } catch { throw tell(field, "The studio does not answer: is it still running?"); }
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 409) throw new Error("stopped");
  if (!answer.ok) throw tell(said.field || field, said.error || "Something went wrong.");
  return said;
}

function tell(field, sentence) {
  const place = $(`error-${field}`) || $("error-result");
  place.textContent = sentence;
  return new Error(sentence);
}

function clear() { document.querySelectorAll(".error").forEach(e => { e.textContent = ""; }); }

async function busy(text, work) {
  // What takes over a second shows its progress, and how to stop it.
  const mine = ++running;
  let timer;
  const watch = async () => {
    if (mine !== running) return;
    $("busy-text").textContent = text; $("busy").hidden = false; $("stage-hint").hidden = true;
    const at = await fetch("/api/progress").then(r => r.json()).catch(() => ({}));
    if (mine !== running) return;
    if (at.total) { $("busy-bar").max = at.total; $("busy-bar").value = at.step; $("busy-text").textContent = `${text} ${at.step}/${at.total}`; }
    else $("busy-bar").removeAttribute("value");
    if (at.preview) { show({ preview: at.preview }); }
    timer = setTimeout(watch, 500);
  };
  timer = setTimeout(watch, 700);
  try { return await work(); }
  catch (error) { if (error.message !== "stopped") console.info(error.message); return null; }
  finally { clearTimeout(timer); if (mine === running) { running++; $("busy").hidden = true; } }
}

// ── the socket: previews, and the camera's pictures ──────────────────────────────────────────────────────────────
let line = null, waiting = new Map(), number = 0, said = () => {};
function connect() {
  line = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/line`);
  line.binaryType = "arraybuffer";
  line.onmessage = ({ data }) => {
    if (typeof data === "string") { said(JSON.parse(data)); return; }
    const n = new DataView(data).getUint32(0), done = waiting.get(n);
    waiting.delete(n);
    if (done) done(new Blob([data.slice(4)], { type: "image/jpeg" }));
  };
  line.onclose = () => { waiting.clear(); previewing = false; setTimeout(connect, 2000); };
}
said = message => {
  previewing = false;
  if (message.face !== undefined) tell("live", message.face ? "" : "No face is seen: come nearer, or into more light.");
  if (message.error) tell(tab === "live" ? "live" : message.field || "result", message.error);
};

let previewing = false, again = false;
function preview() {
  // One question at a time; the newest wish wins.
  if (!photo || other || $("model").value !== "photo" || line?.readyState !== 1) return;
  if (previewing) { again = true; return; }
  previewing = true;
  const n = ++number;
  window.asked = performance.now();
  waiting.set(n, blob => {
    previewing = false;
    window.latency = performance.now() - window.asked;
    if (making !== finished || dragging) show({ preview: URL.createObjectURL(blob) });
    if (again) { again = false; preview(); }
  });
  line.send(JSON.stringify({ do: "preview", n, wish: wish() }));
}

// ── what is wanted ───────────────────────────────────────────────────────────────────────────────────────────────
function wish() {
  const model = $("model").value, value = id => $(id).value;
  const asked = { photo: photo?.id, face: look.face, expression: look.expression, reference: reference?.id, other: other?.id,
    strength: +value("strength"), sliders: look.sliders, turn: look.turn, region: value("region"), model };
  if (model !== "photo") Object.assign(asked, { draws: value("draws"), prompt: value("prompt"), negative: value("negative"),
    count: +value("count"), seed: +value("seed"), steps: +value("steps"), guidance: +value("guidance"),
    id_scale: +value("id_scale"), expression_scale: +value("expression_scale") });
  return asked;
}

let making = 0, finished = 0, dragging = false;
async function make(more = {}) {
  const mine = ++making;
  if (!await ready()) { finished = mine; return; }
  if (mine !== making) return;
  if (!more.variations) preview();
  const made = await busy(more.variations ? "Making variations" : "Making it", () => ask("/api/make", { ...wish(), ...more, instead: true }));
  if (mine !== making) return;
  finished = mine;
  if (made) add(made.results);
}
const moved = () => look.expression || reference || other || Object.values(look.sliders).some(Boolean) || look.turn.some(Boolean);

function add(made) {
  results = [...made].reverse().concat(results).slice(0, 40);
  history();
  open(made[made.length - 1]);
}

// ── the result ───────────────────────────────────────────────────────────────────────────────────────────────────
function show({ result, preview: picture }) {
  const film = result?.kind === "film";
  $("stage-hint").hidden = true;
  $("player").hidden = !film; $("pair").hidden = film; $("mirror").hidden = $("camera-view").hidden = true;
  if (film) { $("player").src = `/files/${result.id}`; $("player").play().catch(() => {}); return; }
  const after = $("after"), old = after.src;
  after.src = picture || `/files/${result.id}`;
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
  if (result) {
    $("before").src = `/files/${result.of}?shown=1`;
    $("split").disabled = !result.framed; $("before").hidden = !result.framed;
    ratio(result.size[0] / result.size[1]);
  } else if (photo) {
    const given = `/files/${photo.id}?shown=1`;
    $("before").src = given;
    $("split").disabled = $("before").hidden = picture === given;  // nothing to compare it with
    ratio(photo.size[0] / photo.size[1]);
  }
}
function ratio(value) { $("pair").style.setProperty("--ratio", value); }

function open(result) {
  shown = result;
  show({ result });
  split(0);
  after.alt = `Result: ${result.label}`;
  $("actions").hidden = false;
  $("save").href = `/files/${result.id}?download=1`;
  $("words").textContent = result.words || "";
  if (result.warning) { const b = document.createElement("b"); b.textContent = ` ${result.warning}`; $("words").append(b); }
  document.querySelectorAll("#earlier button").forEach(e => e.setAttribute("aria-pressed", e.dataset.id === result.id));
}
const after = $("after");

function split(at) { $("split").value = at; $("pair").style.setProperty("--at", `${at}%`); }

function history() {
  $("earlier").replaceChildren(...results.map(result => {
    const button = picture(`/files/${result.id}?shown=1`, result.label || "result", () => {
      if (tab === "live") return;
      if ((result.kind === "film") !== (tab === "film")) choose(result.kind === "film" ? "film" : "still");
      open(result);
    });
    button.dataset.id = result.id;
    return button;
  }));
}

function picture(source, label, act) {
  const button = document.createElement("button"), image = new Image();
  button.type = "button"; button.title = label; button.setAttribute("aria-label", label);
  image.src = source; image.alt = ""; image.loading = "lazy";
  button.append(image);
  button.onclick = act;
  return button;
}

// ── what is given ────────────────────────────────────────────────────────────────────────────────────────────────
async function give(source, as) {
  // `source`: a File, or {person} or {file} of the server's.
  const query = new URLSearchParams({ as });
  if (source instanceof Blob) query.set("name", source.name || "camera.jpg"); else Object.entries(source).forEach(e => query.set(...e));
  return busy("Looking for faces", () => ask(`/api/photo?${query}`, source instanceof Blob ? source : {}, as));
}

let giving = null; // a photo on its way: what is asked for meanwhile waits for it
function givePhoto(source) {
  const mine = give(source, "photo").then(given => { if (given && giving === mine) use(given); });
  return giving = mine;
}
async function ready() {
  await giving;
  if (photo) return true;
  tell("photo", "Choose a photo first, or one of the people.");
  $("given").scrollIntoView({ block: "nearest" });
  return false;
}

function use(given, keep = false) {
  photo = given; look.face = 0;
  document.body.classList.add("with-photo");
  $("photo-image").src = `/files/${photo.id}?shown=1`;
  $("photo-shown").hidden = false; $("photo-hint").hidden = true;
  boxes();
  if (!photo.faces.length) tell("photo", "No face was found in the photo: use one in which a face is large and well lit.");
  if (keep) return;
  shown = null;
  $("actions").hidden = true; $("words").textContent = "";
  if (tab === "still" && moved() && photo.faces.length) make(); else { show({ preview: `/files/${photo.id}?shown=1` }); split(0); }
  faces();
  if (tab === "live" && living) start();
}

function boxes() {
  const [width, height] = photo.size;
  $("boxes").replaceChildren(...photo.faces.map(([x0, y0, x1, y1], k) => {
    const button = document.createElement("button");
    Object.assign(button.style, { left: `${100 * x0 / width}%`, top: `${100 * y0 / height}%`, width: `${100 * (x1 - x0) / width}%`, height: `${100 * (y1 - y0) / height}%` });
    button.type = "button"; button.setAttribute("aria-label", `Face ${k + 1} of ${photo.faces.length}`);
    button.setAttribute("aria-pressed", k === look.face);
    button.onclick = () => { look.face = k; boxes(); faces(); if (moved() && tab === "still") make(); };
    return button;
  }));
}

function dropping(place, act) {
  place.addEventListener("dragover", event => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", event => { event.preventDefault(); place.classList.remove("over"); if (event.dataTransfer.files[0]) act(event.dataTransfer.files[0]); });
}
const files = (id, act) => { $(id).onchange = () => { if ($(id).files.length) act(...$(id).files); $(id).value = ""; }; };

async function giveOther(source) {
  const given = await give(source, "other");
  if (!given) return;
  other = given;
  $("other-image").src = `/files/${other.id}?shown=1`;
  $("other-image").hidden = $("other-none").hidden = false;
  if (photo) make();
}

async function giveReference(source) {
  const given = await give(source, "reference");
  if (!given) return;
  reference = given; look.expression = "";
  $("reference-image").src = `/files/${reference.id}?shown=1`; $("reference").hidden = false;
  press(); make();
}

// ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────
const stored = () => { try { return JSON.parse(localStorage.getItem("mien.kept") || "[]"); } catch { return []; } };
let palette = [];

function entry({ text, name, emoji, kept }) {
  // The expression on the photo's own face, where there is one.
  const button = document.createElement("button"), face = document.createElement("span"), label = document.createElement("span");
  button.type = "button"; button.dataset.text = text; face.className = "face"; face.setAttribute("aria-hidden", "true");
  const sign = kept ? "★" : emoji ?? text;
  const own = !kept && photo?.faces?.length;
  if (own || (emoji !== undefined && !kept)) {
    const image = new Image(); image.alt = ""; image.loading = "lazy";
    image.src = `/api/face?${new URLSearchParams({ expression: text, ...(own ? { photo: photo.id, face: look.face } : {}) })}`;
    image.onerror = () => frame.remove();
    const frame = document.createElement("b"), badge = document.createElement("i"); badge.textContent = sign;
    frame.append(image); face.append(frame, badge);
  } else face.textContent = sign;
  label.textContent = name;
  button.append(face, label);
  button.onclick = () => {
    if (kept) { set(kept); } else { look.expression = look.expression === text && !kept ? "" : text; }
    dropReference(); press();
    if (moved()) make(); else if (photo) show({ preview: `/files/${photo.id}?shown=1` });
  };
  return button;
}

function faces() {
  const mine = stored().map((kept, k) => entry({ text: `kept:${k}`, name: kept.name, kept }));
  $("palette").replaceChildren(...mine, ...palette.map(entry));
  press();
  if (!$("found").hidden) find();
}

function press() {
  document.querySelectorAll("#palette button, #found button").forEach(e => e.setAttribute("aria-pressed", e.dataset.text === look.expression));
}

function dropReference() { reference = null; $("reference").hidden = true; }

function set(kept) {
  look.expression = kept.expression; look.sliders = { ...kept.sliders }; look.turn = [...kept.turn]; $("strength").value = kept.strength;
  document.querySelectorAll("[data-slider]").forEach(e => { e.value = look.sliders[e.dataset.slider] || 0; });
  document.querySelectorAll("[data-turn]").forEach(e => { e.value = look.turn[+e.dataset.turn]; });
}

let searching = 0;
function unfind() { searching++; $("found").hidden = true; $("error-expression").textContent = ""; }
async function find() {
  const mine = ++searching, text = $("search").value;
  const list = await fetch(`/api/words?${new URLSearchParams({ q: text })}`).then(r => r.json()).catch(() => []);
  if (mine !== searching) return;
  $("found").hidden = false;
  $("found").replaceChildren(...list.map(entry));
  $("error-expression").textContent = list.length ? "" : "Nothing is called that: try smile, tired, scared, or an emoji.";
  press();
}

// ── tabs ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const TABS = ["still", "film", "live", "measure"];
function choose(name) {
  if (tab === "live" && name !== "live") halt();
  tab = name;
  document.body.dataset.tab = name;
  TABS.forEach(one => { const e = $(`tab-${one}`); e.setAttribute("aria-selected", one === name); e.tabIndex = one === name ? 0 : -1; });
  $("desk").hidden = name === "measure"; $("measuring").hidden = name !== "measure";
  $("desk").setAttribute("aria-labelledby", `tab-${name === "measure" ? "still" : name}`);
  if (name === "film") $("split").blur();
  const last = results.find(r => (r.kind === "film") === (name === "film"));
  $("player").pause();
  if (name === "live" || !last) { if (photo && name !== "measure") { show({ preview: `/files/${photo.id}?shown=1` }); split(0); } $("actions").hidden = true; $("words").textContent = ""; }
  else if (name !== "measure") open(last);
  clear();
}

// ── film ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async function giveDriver(file) {
  const given = await busy("Sending the film", () => ask(`/api/driver?${new URLSearchParams({ name: file.name || "camera.webm" })}`, file, "driver"));
  if (!given) return;
  driver = given; $("driver-name").textContent = driver.name;
  if (photo) film();
}
async function film(more = {}) {
  if (!await ready()) return;
  if (!driver && !more.stops) { tell("driver", "Give a film of a face, a motion file, or record yourself."); return; }
  const made = await busy("Making the film", () => ask("/api/film", { photo: photo.id, face: look.face, driver: driver?.id,
    strength: +$("film-strength").value, region: $("film-region").value, pose: $("film-pose").checked, ...more }));
  if (made) add(made.results);
}

async function camera(width = 640) {
  if (!navigator.mediaDevices) throw new Error("This browser gives no camera here: open the page on this machine, or by https.");
  try { return await navigator.mediaDevices.getUserMedia({ video: { width, facingMode: "user" } }); }
  catch { throw new Error("No camera could be used: connect one and let the page use it."); }
}
const release = stream => stream?.getTracks().forEach(track => track.stop());

async function record() {
  let stream;
  try { stream = await camera(); } catch (error) { tell("driver", error.message); return; }
  const view = $("camera-view"), parts = [], recorder = new MediaRecorder(stream);
  view.srcObject = stream; view.hidden = false; await view.play();
  recorder.ondataavailable = event => parts.push(event.data);
  recorder.onstop = () => { release(stream); view.hidden = true; $("record").textContent = "Record me (5 s)"; $("record").disabled = false; giveDriver(new File(parts, "camera.webm")); };
  recorder.start();
  $("record").disabled = true;
  for (let left = 5; left > 0; left--) { $("record").textContent = `Recording… ${left}`; await new Promise(done => setTimeout(done, 1000)); }
  recorder.stop();
}

// ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────
let living = null;
const TWO = 2; // frames under way: one is sent while one is made
async function start() {
  clear();
  if (!await ready()) return;
  let stream = living?.stream;
  if (!stream) { try { stream = await camera(); } catch (error) { tell("live", error.message); return; } }
  living = { stream, times: [], late: [], under: 0, at: 0 };
  const mine = living, view = $("camera-view"), small = document.createElement("canvas");
  view.srcObject = stream; view.hidden = false; await view.play();
  $("live-start").textContent = "Stop the camera"; $("rate").textContent = "getting ready…";
  const begun = new Promise(done => { const before = said; said = message => { if (message.face !== undefined) return; said = before; if (message.live) done(true); else { before(message); done(false); } }; });
  line.send(JSON.stringify({ do: "live", wish: { photo: photo.id, face: look.face, pose: $("live-pose").checked } }));
  if (!await begun) { halt(); return; }
  $("live-rest").disabled = false;
  $("pair").hidden = $("player").hidden = true; $("mirror").hidden = false; $("stage-hint").hidden = true;
  const scale = Math.min(1, 640 / Math.max(view.videoWidth, view.videoHeight));
  small.width = Math.round(view.videoWidth * scale); small.height = Math.round(view.videoHeight * scale);
  const pen = small.getContext("2d", { willReadFrequently: true }), mirror = $("mirror"), out = mirror.getContext("2d");
  const next = () => { if (view.requestVideoFrameCallback) view.requestVideoFrameCallback(send); else requestAnimationFrame(send); };
  const send = () => {
    if (living !== mine) return;
    next();
    if (mine.under >= TWO || line.readyState !== 1) return;
    mine.under++;
    const began = performance.now(), n = ++number;
    pen.drawImage(view, 0, 0, small.width, small.height);
    waiting.set(n, async blob => {
      mine.under--;
      if (n < mine.at || living !== mine) return;
      mine.at = n;
      const image = await createImageBitmap(blob);
      if (mirror.width !== image.width || mirror.height !== image.height) { mirror.width = image.width; mirror.height = image.height; }
      out.drawImage(image, 0, 0);
      image.close();
      const now = performance.now();
      mine.times.push(now); mine.late.push(now - began);
      while (mine.times[0] < now - 2000) { mine.times.shift(); mine.late.shift(); }
      const rate = (mine.times.length - 1) * 1000 / Math.max(1, now - mine.times[0]);
      const late = [...mine.late].sort((a, b) => a - b)[mine.late.length >> 1];
      $("rate").textContent = `${rate.toFixed(0)} frames a second, ${late.toFixed(0)} ms behind you`;
      window.live = { rate, late, shown: (window.live?.shown || 0) + 1 };
    });
    small.toBlob(blob => blob.arrayBuffer().then(bytes => {
      const packet = new Uint8Array(bytes.byteLength + 4);
      new DataView(packet.buffer).setUint32(0, n);
      packet.set(new Uint8Array(bytes), 4);
      if (living === mine && line.readyState === 1) line.send(packet);
    }), "image/jpeg", 0.75);
  };
  next();
}
function halt() {
  release(living?.stream); living = null;
  if (line?.readyState === 1) line.send(JSON.stringify({ do: "end" }));
  $("camera-view").hidden = $("mirror").hidden = true; $("live-rest").disabled = true;
  $("live-start").textContent = "Start the camera"; $("rate").textContent = "";
  if (photo && tab === "live") show({ preview: `/files/${photo.id}?shown=1` });
}
const rest = () => { if (living) line.send(JSON.stringify({ do: "rest" })); };

// ── measure ──────────────────────────────────────────────────────────────────────────────────────────────────────
async function measure(ids) {
  $("measure-note").textContent = "Measuring…";
  const said = await ask("/api/measure", { pictures: ids }, "pictures").catch(() => null);
  $("measure-note").textContent = "";
  if (!said) return;
  const rowsOf = pairs => { const table = document.createElement("table"); pairs.forEach(([name, value]) => { const row = table.insertRow(), head = document.createElement("th"); head.textContent = name; head.scope = "row"; row.append(head); row.insertCell().textContent = value; }); return table; };
  $("measured").replaceChildren(...said.pictures.map(one => {
    const figure = document.createElement("figure"), image = new Image(), caption = document.createElement("figcaption");
    image.src = `/files/${one.drawn}`; image.alt = `Faces found in ${one.name}`;
    caption.textContent = `${one.name}: ${one.faces.length === 1 ? "one face" : `${one.faces.length || "no"} faces`}`;
    figure.append(image, caption);
    one.faces.forEach((face, k) => figure.append(rowsOf([
      [`face ${k + 1}`, Object.entries(face.strongest).map(([name, value]) => `${name} ${value}`).join(", ") || "at rest"],
      ["head", `turned ${Math.round(face.pose[0])}°, nods ${Math.round(face.pose[1])}°, tilts ${Math.round(face.pose[2])}°`]])));
    if (one.compared) figure.append(rowsOf([["beside the first", `${one.words}; expression ${one.compared.exp} apart, pose ${one.compared.pose}°`]]));
    const details = document.createElement("details"), summary = document.createElement("summary"), numbers = document.createElement("pre");
    summary.textContent = "All numbers"; numbers.textContent = JSON.stringify({ faces: one.faces, compared: one.compared }, null, 1);
    numbers.tabIndex = 0; numbers.style.cssText = "max-height:200px;overflow:auto";
    details.append(summary, numbers); figure.append(details);
    return figure;
  }));
}

// ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────
function bind() {
  TABS.forEach((name, k) => {
    $(`tab-${name}`).onclick = () => choose(name);
    $(`tab-${name}`).onkeydown = event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { const next = TABS[(k + step + TABS.length) % TABS.length]; choose(next); $(`tab-${next}`).focus(); }
    };
  });
  $("theme").onclick = () => { localStorage.setItem("mien.dark", document.documentElement.classList.toggle("dark") ? "1" : "0"); };
  $("about-open").onclick = () => $("about").showModal(); $("about-close").onclick = () => $("about").close();
  $("forget").onclick = async () => { await fetch("/api/forget", { method: "POST" }); location.reload(); };
  files("photo-file", givePhoto); files("other-file", giveOther); files("reference-file", giveReference); files("driver-file", giveDriver);
  dropping($("photo"), givePhoto); dropping($("other"), giveOther); dropping($("controls"), giveReference); dropping($("filming"), giveDriver);
  document.addEventListener("paste", event => { const file = [...event.clipboardData.files].find(f => f.type.startsWith("image/")); if (file) givePhoto(file); });
  $("invent").onclick = () => {
    const mine = busy("Inventing somebody", () => ask("/api/invent", {}, "photo")).then(given => { if (given && giving === mine) use(given); });
    giving = mine;
  };
  $("other-none").onclick = () => { other = null; $("other-image").hidden = $("other-none").hidden = true; if (moved()) make(); };
  $("reference-none").onclick = () => { dropReference(); if (moved()) make(); };
  $("search").oninput = () => { if ($("search").value) find(); else unfind(); };
  $("search").onfocus = $("search").onclick = () => { if ($("found").hidden) find(); };
  $("search").onkeydown = event => {
    if (event.key === "Escape") { $("search").value = ""; unfind(); }
    if (event.key === "Enter" && $("search").value.trim()) { look.expression = $("search").value.trim(); dropReference(); press(); make(); }
  };
  document.querySelectorAll("[data-slider], [data-turn], #strength").forEach(slider => {
    slider.oninput = () => {
      dragging = true;
      if (slider.dataset.slider) look.sliders[slider.dataset.slider] = +slider.value;
      else if (slider.dataset.turn) look.turn[+slider.dataset.turn] = +slider.value;
      slider.title = slider.value;
      preview();
    };
    slider.onchange = () => { dragging = false; if (moved()) make(); else if (photo) show({ preview: `/files/${photo.id}?shown=1` }); };
    slider.ondblclick = () => { slider.value = slider.id === "strength" ? 1 : 0; slider.oninput(); slider.onchange(); };
  });
  $("reset").onclick = () => {
    set({ expression: "", sliders: {}, turn: [0, 0, 0], strength: 1 }); dropReference(); press();
    other = null; $("other-image").hidden = $("other-none").hidden = true;
    if (photo) { show({ preview: `/files/${photo.id}?shown=1` }); split(0); $("actions").hidden = true; $("words").textContent = ""; }
  };
  $("region").onchange = () => { if (moved()) make(); };
  $("model").onchange = () => $("more").classList.toggle("with-model", $("model").value !== "photo");
  $("draw").onclick = () => make();
  $("split").oninput = () => split($("split").value);
  $("stop").onclick = () => fetch("/api/stop", { method: "POST" });
  $("variations").onclick = () => make({ variations: true });
  $("use").onclick = async () => { if (!shown) return; const id = shown.id; $("reset").onclick(); givePhoto({ file: id }); };
  $("keep").onclick = () => {
    const name = (shown?.label || "mine").slice(0, 16), { expression, sliders, turn, strength } = shown?.wish || wish();
    if (reference && !expression) { tell("expression", "An expression of a picture is kept as the picture: keep that file."); return; }
    localStorage.setItem("mien.kept", JSON.stringify([{ name, expression, sliders, turn, strength }, ...stored()].slice(0, 12)));
    faces();
    $("palette").scrollTo({ left: 0 });
  };
  $("film").onclick = () => film(); $("journey").onclick = () => film({ stops: $("stops").value }); $("record").onclick = record;
  $("live-start").onclick = () => { clear(); if (living) halt(); else start(); };
  $("live-rest").onclick = rest; $("live-pose").onchange = () => { if (living) start(); };
  document.addEventListener("keydown", event => { if (tab === "live" && event.key.toLowerCase() === "r" && !/INPUT|SELECT/.test(event.target.tagName)) rest(); });
  let shooting = null;
  $("camera").onclick = async () => {
    try { shooting = await camera(1280); } catch (error) { tell("photo", error.message); return; }
    $("shoot-view").srcObject = shooting; $("shoot").showModal(); $("shoot-view").play();
  };
  $("shoot").onclose = () => release(shooting);
  $("shoot-close").onclick = () => $("shoot").close();
  $("shoot-take").onclick = () => {
    const view = $("shoot-view"), canvas = document.createElement("canvas");
    canvas.width = view.videoWidth; canvas.height = view.videoHeight;
    canvas.getContext("2d").drawImage(view, 0, 0);
    canvas.toBlob(blob => { $("shoot").close(); givePhoto(new File([blob], "camera.jpg")); }, "image/jpeg", 0.95);
  };
  files("measure-files", async (...given) => {
    const ids = [];
    for (const file of given.slice(0, 12)) { $("measure-note").textContent = `Looking at ${file.name}…`; const one = await ask(`/api/photo?${new URLSearchParams({ as: "pictures", name: file.name })}`, file, "pictures").catch(() => null); if (one) ids.push(one.id); }
    if (ids.length) measure(ids);
  });
  $("measure-results").onclick = async () => {
    if (!photo) { tell("pictures", "There is no photo yet: choose pictures, or make something first."); return; }
    const ids = [photo.id];
    for (const result of results.filter(r => r.kind === "still").slice(0, 3)) { const one = await ask("/api/photo?" + new URLSearchParams({ as: "pictures", file: result.id }), {}, "pictures").catch(() => null); if (one) ids.push(one.id); }
    measure(ids);
  };
}

async function begin() {
  const dark = localStorage.getItem("mien.dark");
  document.documentElement.classList.toggle("dark", dark === null ? matchMedia("(prefers-color-scheme: dark)").matches : dark === "1");
  bind();
  const state = await ask("/api/state");
  connect();
  palette = state.palette;
  state.people.forEach(name => {
    $("people").append(picture(`/people/${name}.jpg`, `Use ${name}, who is nobody`, () => givePhoto({ person: name })));
    $("other-people").append(picture(`/people/${name}.jpg`, `The face of ${name}, who is nobody`, () => giveOther({ person: name })));
  });
  $("model").append(new Option("your photo's own pixels", "photo"), ...state.models.map(name => new Option(`drawn by ${name}`, name)));
  results = state.results;
  faces(); history();
  if (state.photo) { use(state.photo, true); faces(); if (results.length) { if (results[0].kind === "film") choose("film"); open(results[0]); } else show({ preview: `/files/${photo.id}?shown=1` }); }
  document.body.dataset.ready = "";
}
begin();
