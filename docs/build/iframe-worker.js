/* Browsers start no workers for pages that lie on a disk. There the search works in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html><body></body>";
      this.inside = new Promise((ready, fail) => {
        this.frame.addEventListener("load", () => {
          const inside = this.frame.contentWindow, script = inside.document.createElement("script");
          inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
          script.src = new URL(url, document.baseURI).href;
          script.onload = () => ready(inside);
          script.onerror = fail;
          inside.document.body.append(script);
        }, { once: true });
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      this.inside.then(inside => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
