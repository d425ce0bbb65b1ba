"use strict";
// Reads the numbers at a threshold out of the sweep that the page carries.
const box = document.getElementById("slider");
if (box) {
  const sweep = JSON.parse(box.dataset.sweep);
  const input = box.querySelector("input");
  const output = box.querySelector("output");
  const lines = box.querySelectorAll("tbody tr");
  const percent = (value) => (100 * value).toFixed(1) + " %";
  const update = () => {
    const place = Number(input.value);
    output.textContent = (place / 200).toFixed(3);
    sweep.forEach((one, line) => {
      const cells = lines[line].querySelectorAll("td.number");
      ["recall", "alarms", "precision"].forEach((name, column) => {
        cells[column].textContent = one[name].length ? percent(one[name][place]) : "–";
      });
    });
  };
  input.addEventListener("input", update);
  box.hidden = false;
  update();
}
