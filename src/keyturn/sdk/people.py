"""The calls of the API about people: users, sessions, passwords, members and invitations."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Generic

from keyturn.sdk.call import UNCHANGED, A, Call, Unchanged, changed, delete, get, given, instant, part, post


class PeopleCalls(ABC, Generic[A]):
    """A part of `Calls`."""

    @abstractmethod
    def send(self, call: Call) -> A:
        """Send one call and answer its JSON object; raises `ApiError` where the server said no."""

    # Users and sessions

    def create_user(
        self,
        email: str,
        *,
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        role: str | None = None,
        account_id: str | None = None,
    ) -> A:
        body = given(email=email, name=name, username=username, password=password, role=role, account_id=account_id)
        return self.send(post("/v1/users", body))

    def list_users(self, *, account_id: str | None = None, limit: int | None = None, cursor: str | None = None) -> A:
        return self.send(get("/v1/users", account_id=account_id, limit=limit, cursor=cursor))

    def get_user(self, user_id: str) -> A:
        return self.send(get(f"/v1/users/{part(user_id)}"))

    def edit_user(
        self,
        user_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        username: str | Unchanged | None = UNCHANGED,
        language: str | Unchanged | None = UNCHANGED,
        time_zone: str | Unchanged | None = UNCHANGED,
    ) -> A:
        """Change what is named; None drops a user name, a language or a zone."""
        body = changed(name=name, username=username, language=language, time_zone=time_zone)
        return self.send(Call(method="PATCH", path=f"/v1/users/{part(user_id)}", body=body))

    def set_password(self, user_id: str, password: str) -> A:
        """Put another password in place; every session of the user ends."""
        return self.send(Call(method="PUT", path=f"/v1/users/{part(user_id)}/password", body={"password": password}))

    def sign_in(
        self,
        user: str,
        password: str,
        *,
        account_id: str | None = None,
        totp: str | None = None,
        recovery_code: str | None = None,
        captcha: str | None = None,
        device: str | None = None,
        remember_device: bool | None = None,
    ) -> A:
        """Open a session; its `token` goes where a key goes: `Client(url, key=token)`.

        `device` is the `device_token` of an earlier sign-in with `remember_device`: with it nobody can get in the way.
        """
        body = given(
            user=user,
            password=password,
            account_id=account_id,
            totp=totp,
            recovery_code=recovery_code,
            captcha=captcha,
            device=device,
            remember_device=remember_device,
        )
        return self.send(post("/v1/sessions", body))

    def change_password(self, password: str, new_password: str, *, remember_device: bool | None = None) -> A:
        """Change your own; every other session ends.  Go on with the `token` of the answer."""
        body = given(password=password, new_password=new_password, remember_device=remember_device)
        return self.send(post("/v1/sessions/current/password", body))

    def forgot_password(self, user: str) -> A:
        """Have a link for a new password mailed; the answer is the same where nobody is meant."""
        return self.send(post("/v1/passwords/forgotten", {"user": user}))

    def set_password_anew(
        self,
        token: str,
        password: str,
        *,
        totp: str | None = None,
        recovery_code: str | None = None,
        passkey: Mapping[str, Any] | None = None,
    ) -> A:
        """Set a new password by the token of a mailed link, with the second factor where one is enrolled."""
        body = given(token=token, password=password, totp=totp, recovery_code=recovery_code, passkey=passkey)
        return self.send(post("/v1/passwords/reset", body))

    def list_sessions(self) -> A:
        """Your own sessions that are on, the one used last first."""
        return self.send(get("/v1/sessions"))

    def choose_account(self, account_id: str) -> A:
        """Let the session speak for another account of yours; go on with the `token` of the answer."""
        return self.send(post("/v1/sessions/current/account", {"account_id": account_id}))

    def sign_out(self) -> A:
        """End the session this client came with."""
        return self.send(delete("/v1/sessions/current"))

    def end_session(self, session_id: str) -> A:
        """End one of your own sessions."""
        return self.send(delete(f"/v1/sessions/{part(session_id)}"))

    def end_other_sessions(self) -> A:
        """End every session of yours but the one this client came with."""
        return self.send(delete("/v1/sessions/others"))

    def create_portal_session(
        self,
        account_id: str,
        *,
        user_id: str | None = None,
        proofs: Iterable[tuple[str, datetime | str]] = (),
        embed_origin: str | None = None,
        return_url: str | None = None,
    ) -> A:
        """A link, in `url`, to the pages of one person's keys; it opens once, within five minutes.

        `proofs`: what you have seen this person show, and when, such as `("password", signed_in_at)`.
        """
        seen = [{"kind": kind, "at": instant(at)} for kind, at in proofs]
        body = given(
            account_id=account_id,
            user_id=user_id,
            proofs=seen or None,
            embed_origin=embed_origin,
            return_url=return_url,
        )
        return self.send(post("/v1/portal/sessions", body))

    # Members of accounts

    def list_members(self, account_id: str) -> A:
        return self.send(get(f"/v1/accounts/{part(account_id)}/members"))

    def add_member(self, account_id: str, user_id: str, *, role: str | None = None) -> A:
        """Add somebody who is a user already; for the operator."""
        return self.send(post(f"/v1/accounts/{part(account_id)}/members", given(user_id=user_id, role=role)))

    def edit_member(self, account_id: str, user_id: str, *, role: str) -> A:
        """Give a member another role; their sessions for the account end."""
        path = f"/v1/accounts/{part(account_id)}/members/{part(user_id)}"
        return self.send(Call(method="PATCH", path=path, body={"role": role}))

    def remove_member(self, account_id: str, user_id: str, *, keys_to: str | None = None) -> A:
        """Remove a member; `keys_to` takes their keys over, else those are suspended."""
        path = f"/v1/accounts/{part(account_id)}/members/{part(user_id)}"
        return self.send(Call(method="DELETE", path=path, query=given(keys_to=keys_to)))

    def invite(self, account_id: str, email: str, *, role: str | None = None, language: str | None = None) -> A:
        """Mail an invitation."""
        body = given(email=email, role=role, language=language)
        return self.send(post(f"/v1/accounts/{part(account_id)}/invitations", body))

    def list_invitations(self, account_id: str) -> A:
        """Those that can still be accepted."""
        return self.send(get(f"/v1/accounts/{part(account_id)}/invitations"))

    def withdraw_invitation(self, account_id: str, invitation_id: str) -> A:
        return self.send(delete(f"/v1/accounts/{part(account_id)}/invitations/{part(invitation_id)}"))

    def accept_invitation(
        self,
        token: str,
        *,
        name: str,
        password: str,
        username: str | None = None,
        language: str | None = None,
        remember_device: bool | None = None,
    ) -> A:
        """Become a user by the token of a mailed link; the answer is a session."""
        body = given(
            token=token,
            name=name,
            password=password,
            username=username,
            language=language,
            remember_device=remember_device,
        )
        return self.send(post("/v1/invitations/accept", body))

    def join_account(self, token: str) -> A:
        """Accept an invitation as the user whose session this client holds."""
        return self.send(post("/v1/invitations/join", {"token": token}))

    # Further addresses of one's own

    def list_addresses(self) -> A:
        return self.send(get("/v1/addresses"))

    def add_address(self, email: str) -> A:
        """Add one; a mailed link confirms it."""
        return self.send(post("/v1/addresses", {"email": email}))

    def confirm_address(self, token: str) -> A:
        """Confirm one by the token of the mailed link."""
        return self.send(post("/v1/addresses/confirm", {"token": token}))

    def sign_in_with_address(self, address_id: str, password: str) -> A:
        """Sign in with that address from now on."""
        return self.send(post(f"/v1/addresses/{part(address_id)}/sign-in", {"password": password}))

    def remove_address(self, address_id: str) -> A:
        return self.send(delete(f"/v1/addresses/{part(address_id)}"))
