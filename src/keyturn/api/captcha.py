"""`/v1/captcha`: a challenge for whoever needs one, known or not (K2)."""

from typing import Any

from fastapi import APIRouter

from keyturn.api.call import AnyVisit
from keyturn.api.schemas import CaptchaShown

router = APIRouter(tags=["captcha"])


@router.get("/v1/captcha", response_model=CaptchaShown, response_model_exclude_none=True, summary="Ask for a CAPTCHA")
def challenge(visit: AnyVisit) -> dict[str, Any]:
    """With ALTCHA, what its widget takes; with a service, the site key that the service's script takes."""
    captcha = visit.node.captcha
    asked = captcha.challenge(now=visit.node.clock.now())
    return {"provider": captcha.provider, "site_key": captcha.site_key or None, **asked}
