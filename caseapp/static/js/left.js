// Runs before a page of the portal is shown: going back in a tab that was left leads out again, and shows nothing.
(() => {
  const [navigation] = performance.getEntriesByType("navigation");
  const goingBack = navigation.type === "back_forward";
  if (!goingBack) sessionStorage.removeItem("left");
  else if (sessionStorage.getItem("left")) {
    document.documentElement.hidden = true;
    location.replace(document.currentScript.dataset.exit);
  }
})();
