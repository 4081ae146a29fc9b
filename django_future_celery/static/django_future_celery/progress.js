// Goes on with an action that takes several requests. Without this the button "Continue" does.
'use strict';
document.getElementById('future-progress').submit();
