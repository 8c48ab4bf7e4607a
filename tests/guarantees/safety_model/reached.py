"""What random histories reach, so that a model which nothing contradicts has had something to contradict."""

OFTEN = set(
    """
    API: 201
    alerts: care
    alerts: mailed
    alerts: safety
    assign: contact_block
    assign: done
    assign: hold_open
    assign: joint_consent
    assign: never_screened
    bulk: refused
    clear: refused
    clock: ran ahead
    clock: set back
    complete: done
    confirm: done
    holds: care opened
    holds: safety opened
    holds: safety renewed
    move: done
    move: hold_open
    move: two_steady_screenings
    pages: 303
    pack: done
    portal: barred
    portal: page refused
    portal: shown
    release_safety: done
    release_safety: task_open
    screenings: late
    """.strip().split("\n    ")
)
"""What a batch of the suite reaches."""
SELDOM = set(
    """
    API: 404
    API: 409
    draft: opens a hold
    draft: opens a hold by a circumstance
    draft: opens a hold on its page
    draft: opens a hold through the API
    draft: saved by a button
    draft: saved by itself
    holds: care opened again
    holds: safety opened again
    pages: 409
    pages: 422
    pages: no form
    pack: hold_open
    release_care: task_open
    stage: contact
    sign: done
    screening: refused
    screenings: circumstances
    reopen: refused
    close_case: screening_of_the_day
    close_case: done
    bulk: done
    alerts: passed on
    acknowledge: done
    acknowledge: refused
    allow: done
    allow: refused
    assign: case_closed
    assign: channel_not_available
    assign: client_harm_flag
    assign: contact_frozen
    assign: fear_unknown
    assign: fear_watch
    assign: in_session_only
    assign: safety_screen_older_than_14_days
    assign: safety_screen_unknown
    assign: violence_flag
    bulk: assigned by the worker
    bulk: skipped by the worker
    clear: contact_not_confirmed
    clear: done
    clear: no_contact_asked
    clear: order_in_force
    clear: safety_hold_open
    clear: set_by_answers
    close_case: final_screening
    close_case: hold_open
    close_lost: contact_not_lost
    close_lost: second_person_needed
    close_lost: supervisor_needed
    close_lost: under a safety hold
    complete: no_plan
    complete: too_early
    complete: supervisor_needed
    decided: lost contact
    error: action_has_result
    error: correction_too_late
    error: done
    error: later actions
    error: recorded_by_somebody_else
    followed: declined_decision
    followed: safety_24h
    followed: duty_check
    followed: welfare_check
    holds: care opened in error
    holds: care renewed
    holds: safety opened in error
    hand_over: done
    leave_coach: clients_left
    leave_coach: done
    leave_deputy: done
    leave_supervisor: done
    leave_supervisor: people_left
    supervise: done
    clear: barred by another case
    end: circumstance_mentioned_again
    end: circumstance_never_ends
    end: circumstance_not_current
    end: done
    plan: barred
    plan: shown
    plan: version under a hold
    plan_review: done
    plan_show: fear_not_excluded
    protocol: changed under a hold
    move: contact_no_block
    name: done
    name: refused
    release: by whoever was named
    move: fear_not_alone
    move: one_stage_at_a_time
    move: screening_incomplete
    move: screening_old
    move: spouse_open_to_contact
    confirm_proposal: done
    decline_proposal: done
    portal: visited
    proposals: made
    release: after fear
    release_care: done
    release_care: only_one_steady_screening
    release_safety: level_above_watch
    release_safety: screening_not_alone
    release_safety: screening_not_current
    release_safety: screening_not_steady
    release_safety: screening_too_early
    release_safety: second_person_needed
    reopen: done
    resumed: actions
    second_case: done
    stage: close
    stage: repair
    write: done
    """.strip().split("\n    ")
)
"""What four thousand histories reach."""
