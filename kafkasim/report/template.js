(function () {
  "use strict";
  var root = document.documentElement;
  var form = document.getElementById("filter");
  var chains = Array.prototype.slice.call(document.querySelectorAll(".chain"));

  function reveal() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    var chain = target && target.closest("details");
    if (chain) { chain.open = true; target.hidden = false; target.scrollIntoView({ block: "center" }); }
  }

  function filter() {
    var words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    var event = form.elements.event.value;
    var on = words.length > 0 || event !== "";
    var found = 0;
    chains.forEach(function (chain) {
      var steps = Array.prototype.slice.call(chain.querySelectorAll(".step"));
      var shown = {};
      steps.slice().reverse().forEach(function (step) {
        var text = step.textContent.toLowerCase();
        var hit = on && (event === "" || step.dataset.event === event) &&
          words.every(function (word) { return text.indexOf(word) >= 0; });
        var keep = !on || hit || shown[step.id] === true;
        if (keep) { shown["row-" + step.dataset.parent] = true; }
        if (hit) { found += 1; }
        step.hidden = !keep && step.tagName !== "SUMMARY";
        step.classList.toggle("found", hit);
        step.classList.toggle("aside", on && keep && !hit);
      });
      var any = !on || steps.some(function (step) { return step.classList.contains("found"); });
      chain.hidden = !any;
      if (on && any) { chain.open = true; }
    });
    form.elements.found.value = on ? found + (found === 1 ? " row" : " rows") + ", with what led to them" : "";
  }

  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", function (submitted) { submitted.preventDefault(); });
    form.addEventListener("click", function (clicked) {
      var open = clicked.target.dataset.open;
      if (open !== undefined) { chains.forEach(function (chain) { chain.open = open === "yes"; }); }
    });
  }
  window.addEventListener("hashchange", reveal);
  reveal();
  root.setAttribute("data-script", "ready");
}());
