// Runs before the page is painted, so that a chosen theme never flashes. `light` and `dark` are
// kept in this browser; without a choice the system's preference decides.
"use strict";
(() => {
  const order = ["system", "light", "dark"];
  const read = () => {
    try {
      return localStorage.getItem("anybit-theme") ?? "system";
    } catch {
      return "system"; // storage may be switched off
    }
  };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    const name = document.getElementById("theme-name");
    if (name) name.textContent = `Theme: ${theme}`;
  };
  show(read());
  document.addEventListener("DOMContentLoaded", () => {
    show(read());
    document.getElementById("theme").addEventListener("click", () => {
      const theme = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3];
      try {
        localStorage.setItem("anybit-theme", theme);
      } catch {
        // the choice then lasts until the page is closed
      }
      show(theme);
    });
  });
})();
