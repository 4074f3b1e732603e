/**
 * A stand-in for Internet Explorer's `htmlfile` object, in a browser of today: a document that the page writes and whose window
 * it can reach. Behind it is a hidden frame. It has what pages used, and no more.
 */
window.ActiveXObject = class ActiveXObject {
  /** @param {string} name */
  constructor(name) {
    if (name !== 'htmlfile') throw new Error(`Automation server can't create object: ${name}`);
    this.holder = document.createElement('iframe');
    this.holder.hidden = true;
    document.body.append(this.holder);
  }

  open() { this.holder.contentDocument.open(); }

  write(markup) { this.holder.contentDocument.write(markup); }

  close() { this.holder.contentDocument.close(); }

  get parentWindow() { return this.holder.contentWindow; }

  get body() { return this.holder.contentDocument.body; }
};
