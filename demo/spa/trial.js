// One trial of the page: its button, and the sentence below it that says how it went.

export class Trial {
  constructor(article, begin) {
    this.button = article.querySelector("button");
    this.label = this.button.textContent;
    this.result = article.querySelector(".result");
    this.button.addEventListener("click", async () => {
      this.button.disabled = true;
      try {
        if ((await begin()) !== "keep disabled") this.finish();
      } catch (error) {
        this.say("wrong", error.message);
        this.finish();
      }
    });
  }

  get busy() {
    return this.button.disabled;
  }

  say(tone, text) {
    if (this.result.textContent === text) return;
    this.result.className = `result ${tone}`;
    this.result.textContent = text;
  }

  finish() {
    this.button.disabled = false;
    this.button.textContent = this.label;
  }
}
