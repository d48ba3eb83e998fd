// The list of what happened, newest first. Equal entries in a row become one with a count.

import { clockTime } from "./durations.js";

const LONGEST = 100;

export class Journal {
  constructor(list) {
    this.list = list;
    this.newest = null;
  }

  /** {who, text, why?, tone: "ok" | "wait" | "bad" | undefined, at: epoch seconds} */
  add({ who, text, why = "", tone = "", at = Date.now() / 1000 }) {
    const key = `${who} ${text}`;
    if (this.newest?.key === key) {
      this.newest.times += 1;
      this.newest.counter.textContent = ` ×${this.newest.times}`;
      stamp(this.newest.time, at);
      return;
    }
    const time = document.createElement("time");
    stamp(time, at);
    const what = element("p", "text");
    const counter = element("span", "times");
    what.append(element("b", tone, who), ` ${text}`, counter);
    const item = document.createElement("li");
    item.append(time, what);
    if (why) item.append(element("p", "why", why));
    this.list.prepend(item);
    while (this.list.children.length > LONGEST) this.list.lastElementChild.remove();
    this.newest = { key, times: 1, counter, time };
  }
}

function stamp(time, at) {
  time.dateTime = new Date(at * 1000).toISOString();
  time.textContent = clockTime(new Date(at * 1000));
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
