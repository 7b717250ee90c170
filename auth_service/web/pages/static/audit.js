// New events of the audit log appear by themselves, until somebody says no, looks elsewhere, or has looked for long.
"use strict";
(() => {
  const EVERY = 2000, SLOWEST = 30000, AT_MOST = 30 * 60 * 1000, SHOWN = 500;
  const events = document.getElementById("events");
  const says = document.getElementById("live-says");
  const button = document.getElementById("live-button");
  let tag = events.dataset.tag;
  let wait = EVERY;
  let ends = Date.now() + AT_MOST;
  let timer = 0;
  let asking = null;
  let isPaused = false;

  function say(text) {
    if (says.textContent !== text) says.textContent = text;
  }

  function stop(text) {
    isPaused = true;
    clearTimeout(timer);
    if (asking) asking.abort();
    button.textContent = "Go on";
    say(text);
  }

  function goOn() {
    isPaused = false;
    wait = EVERY;
    ends = Date.now() + AT_MOST;
    button.textContent = "Pause";
    say("Live: new events appear by themselves.");
    ask();
  }

  function later() {
    clearTimeout(timer);
    if (!isPaused && !document.hidden) timer = setTimeout(ask, wait);
  }

  async function ask() {
    // One at a time, and none for somebody who does not look.
    if (asking || isPaused || document.hidden) return;
    if (Date.now() > ends) {
      stop("Paused after half an hour.");
      return;
    }
    asking = new AbortController();
    const tooLong = setTimeout(() => asking.abort(), 10000);
    try {
      const answer = await fetch(events.dataset.from, {
        headers: { "If-None-Match": tag }, redirect: "manual", cache: "no-store", signal: asking.signal,
      });
      await take(answer);
    } catch {
      trouble(0);
    } finally {
      clearTimeout(tooLong);
      asking = null;
      later();
    }
  }

  async function take(answer) {
    if (answer.status === 200) {
      tag = answer.headers.get("ETag") || "";
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } else if (answer.type === "opaqueredirect") {
      stop("You are signed out. Reload the page to sign in again.");
    } else if (answer.status === 403) {
      stop("You may not read the log any more.");
    } else if (answer.status !== 304) {
      trouble(Number(answer.headers.get("Retry-After")) * 1000 || 0);
    }
    if (answer.status === 200 || answer.status === 304) {
      if (wait !== EVERY) say("Live: new events appear by themselves.");
      wait = EVERY;
    }
  }

  function trouble(atLeast) {
    if (isPaused) return;
    wait = Math.min(Math.max(wait * 2, atLeast), SLOWEST);
    say("No answer. Trying again in " + Math.round(wait / 1000) + " seconds.");
  }

  function put(page) {
    let above = null;
    let count = 0;
    // Each below the one that it follows there: an event may come late, and then is not the newest.
    for (const item of [...page.body.children]) {
      const known = document.getElementById(item.id);
      if (!known) {
        item.classList.add("fresh");
        if (above) above.after(item);
        else events.prepend(item);
        count += 1;
      }
      above = known || item;
    }
    while (events.children.length > SHOWN && !events.lastElementChild.contains(document.activeElement)) {
      events.lastElementChild.remove();
    }
    const none = document.getElementById("no-events");
    if (none && count) none.remove();
    if (count) say(count === 1 ? "One new event." : count + " new events.");
  }

  button.addEventListener("click", () => (isPaused ? goOn() : stop("Paused.")));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else ask();
  });
  document.getElementById("live").hidden = false;
  say("Live: new events appear by themselves.");
  later();
})();
