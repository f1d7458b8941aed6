"use strict";

// Requests of open pages. An answer that was redirected is a login page: the session has ended. A
// notice then offers the login in a new tab, so that nothing written here is lost; the page goes on
// by itself after it.
const WxPoll = (() => {
  let notice = null;

  function showLogin() {
    if (notice) return;
    const link = document.createElement("a");
    link.href = `/admin/login/?next=${encodeURIComponent("/admin/")}`;
    link.target = "_blank";
    link.className = "wx-button";
    link.textContent = "Log in in a new tab";
    const text = document.createElement("span");
    text.textContent = "You are logged out. What you see is old; this page goes on once you have logged in.";
    notice = document.createElement("div");
    notice.className = "wx-logged-out";
    notice.setAttribute("role", "alert");
    notice.append(text, link);
    document.body.append(notice);
  }

  // The answer, or null: offline, an error, or logged out. 304 only for a request with an ETag.
  async function get(url, options) {
    const answer = await fetch(url, options).catch(() => null);
    if (answer?.redirected) showLogin();
    if (!(answer?.ok || answer?.status === 304) || answer.redirected) return null;
    notice?.remove();
    notice = null;
    return answer;
  }

  return { get };
})();
