// Package judge turns what the checker found into a verdict, and tells it: as
// text, as JSON, and as one HTML page with a picture.
//
// Judge is pure: it takes the checked subject, the checked control and the
// faults that hit them, and decides. VIOLATED needs one violation of the
// subject. HELD needs that something was checked, that everything was read, that
// enough faults hit, and that the control, where there is one, broke under the
// same faults: a subject that holds where nothing breaks shows nothing. All else
// is INCONCLUSIVE, with the reasons.
//
// No verdict says more than the run did: HELD is about these records and these
// faults.
package judge
