"""How the page looks: colours that can be read (WCAG 2.1 AA, 4.5:1), and roles that Gradio's markup leaves out."""

from __future__ import annotations

import gradio as gr

DARK = "() => { document.body.classList.toggle('dark'); }"
CSS = """
.note { min-height: 1.5em }
#words img { object-fit: contain }
/* The columns are shares of a width at which no word is broken; a narrower screen scrolls. */
#faces .table-wrap { overflow-x: auto }
#faces .upload-container { min-width: 700px }
@media (max-width: 640px) { .gradio-container { padding: 8px !important } }
button:focus-visible, input:focus-visible, textarea:focus-visible, [role=tab]:focus-visible, [tabindex]:focus-visible
  { outline: 3px solid #c2410c !important; outline-offset: 2px }
.dark :focus-visible { outline-color: #fb923c !important }
.dark [role=tab].selected { color: #fb923c !important }
a.download-link { color: var(--body-text-color) !important }
.json-node { --text-color: #9a3412 !important; --string-color: #9a3412 !important; --number-color: #155e75 !important;
  --bracket-color: #3f6212 !important; --square-bracket-color: #9f1239 !important;
  --punctuation-color: #44403c !important; --line-number-color: #57534e !important }
.dark .json-node { --text-color: #fdba74 !important; --string-color: #fdba74 !important;
  --number-color: #67e8f9 !important; --bracket-color: #bef264 !important; --square-bracket-color: #fda4af !important;
  --punctuation-color: #d6d3d1 !important; --line-number-color: #a8a29e !important }
"""
# What comes and goes with what is shown: an empty place is a <div aria-label>, which needs a role to have a name; a
# picture that is a button has no words of its own; a button within a button, with its name untranslated.
ROLES = """() => {
  const mend = () => {
    document.querySelectorAll('div.empty[aria-label]:not([role])').forEach(e => e.setAttribute('role', 'img'));
    document.querySelectorAll('button > .image-frame > img[alt=""]').forEach(e => {
      const label = e.closest('.block')?.querySelector('[data-testid=block-label]');
      e.setAttribute('alt', label?.innerText.trim() || 'Picture');
    });
    document.querySelectorAll('button.icon-button[aria-label="common.upload"]').forEach(e => {
      e.setAttribute('aria-label', 'More pictures'); e.setAttribute('title', 'More pictures');
      const inner = e.querySelector('button');
      if (inner) {
        e.setAttribute('role', 'group'); e.setAttribute('tabindex', '-1');
        inner.setAttribute('aria-label', 'More pictures');
      }
    });
  };
  let waiting = false;
  new MutationObserver(() => {
    if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; mend(); }); }
  }).observe(document.body, { childList: true, subtree: true });
  mend();
}"""


def theme() -> gr.themes.Base:
    """Gradio's own theme, with darker greys, orange and red; fonts of the system, so that none is fetched."""
    strong, hovered = "*primary_700", "*primary_800"
    stop, stop_hovered = "#b91c1c", "#991b1b"
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        color_accent=strong,
        button_primary_background_fill=strong,
        button_primary_background_fill_dark=strong,
        button_primary_background_fill_hover=hovered,
        button_primary_background_fill_hover_dark=hovered,
        button_cancel_background_fill=stop,
        button_cancel_background_fill_dark=stop,
        button_cancel_background_fill_hover=stop_hovered,
        button_cancel_background_fill_hover_dark=stop_hovered,
    )
